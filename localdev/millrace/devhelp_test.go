package main

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/millrace/millrace/localdev/paymentprovider"
	"github.com/millrace/millrace/runtime/config"
)

// commandOfHelp is how the help tells to have the payment provider fail.
var commandOfHelp = regexp.MustCompile(`\n +curl -X (PUT)(?: -H '([^:]+): ([^']+)')? -d '([^']+)' 127\.0\.0\.1:1082(/mode)\n`)

func TestTheCommandOfTheHelpHasTheProviderFail(t *testing.T) {
	t.Parallel()
	_, help, _ := say(t, "dev", "--help")
	command := commandOfHelp.FindStringSubmatch(help)
	if command == nil {
		t.Fatalf("no command on a line of its own in\n%s", help)
	}
	method, header, value, body, path := command[1], command[2], command[3], command[4], command[5]
	p, err := paymentprovider.Start(&paymentprovider.Options{Addr: "127.0.0.1:0", Key: config.NewSecret("key")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	request, err := http.NewRequestWithContext(t.Context(), method, p.URL()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded") // what curl says by itself
	if header != "" {
		request.Header.Set(header, value)
	}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	answer, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK || p.Mode().State != paymentprovider.Down {
		t.Errorf("%s: the provider is %s", answer.Status, p.Mode().State)
	}
}
