package templates

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/cloudevents/notification"
)

func newSet(t testing.TB) *Set {
	t.Helper()
	s, err := Parse()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// full is data for every template.
const full = `{"orderId":"12345","amount":99.90,"currency":"EUR","orderDate":"2023-12-01T10:00:00Z",
"paymentMethod":"credit card","paidAt":"2023-12-01T10:05:00Z","trackingNumber":"1Z999","estimatedDelivery":"2023-12-05",
"reason":"Wrong size & colour","refundAmount":99.90,"cancelledAt":"2023-12-02T08:00:00Z",
"firstName":"Zoë","email":"zoe@shop.example","registeredAt":"2023-11-30T23:59:59.5Z",
"productId":"prod-456","productName":"Kettle <2 l>","outOfStockAt":"2023-12-03T12:00:00Z"}`

func names() []string {
	return []string{
		notification.TemplateOrderConfirmation, notification.TemplatePaymentConfirmation,
		notification.TemplateOrderShipped, notification.TemplateOrderCancelled, notification.TemplateWelcome,
		notification.TemplateProductOutOfStock,
	}
}

// Each template, with everything and with nothing known, reads like testdata.
func TestGolden(t *testing.T) {
	t.Parallel()
	set := newSet(t)
	if len(set.byName) != len(names()) {
		t.Errorf("%d templates, want %d", len(set.byName), len(names()))
	}
	for _, name := range names() {
		for kind, data := range map[string]string{"full": full, "empty": ""} {
			t.Run(name+" "+kind, func(t *testing.T) {
				t.Parallel()
				words, err := set.Render(name, jsontext.Value(data))
				if err != nil {
					t.Fatal(err)
				}
				want, err := os.ReadFile(filepath.Join("testdata", name+"."+kind+".golden"))
				if err != nil {
					t.Fatal(err)
				}
				got := fmt.Sprintf("%s\n--- text\n%s--- html\n%s", words.Subject, words.Text, words.HTML)
				if diff := cmp.Diff(string(want), got); diff != "" {
					t.Error(diff)
				}
			})
		}
	}
}

func TestRenderRefuses(t *testing.T) {
	t.Parallel()
	set := newSet(t)
	tests := []struct{ name, template, data, want string }{
		{"unknown", "lottery", ``, `unknown template "lottery"`},
		{"no name", "", ``, `unknown template ""`},
		{"a path", "../../etc/passwd", ``, `unknown template "../../etc/passwd"`},
		{"the layout", "layout", ``, `unknown template "layout"`},
		{"a file name", "welcome.txt.tmpl", ``, `unknown template "welcome.txt.tmpl"`},
		{"a template", "{{.}}", ``, `unknown template "{{.}}"`},
		{"a long name", strings.Repeat("x", 200), ``, `unknown template "` + strings.Repeat("x", 64) + `"`},
		{"control characters", "a\nb", ``, `unknown template "a\nb"`},
		{"a list", "welcome", `["canary"]`, "data for template welcome: not a JSON object"},
		{"a text", "welcome", `"canary"`, "data for template welcome: not a JSON object"},
		{"twice", "welcome", `{"firstName":"canary","firstName":"b"}`, "data for template welcome: not a JSON object whose names differ"},
		{"cut off", "welcome", `{"firstName":"canary`, "data for template welcome: not a JSON object whose names differ"},
		{"too much", "welcome", `{"canary":"` + strings.Repeat("x", maxData) + `"}`, "data for template welcome: more than 65536 bytes"},
		{"line end", "welcome", `{"firstName":"canary\r\nBcc: eve@evil.example"}`, "the subject would have control characters"},
		{"line feed", "welcome", `{"firstName":"canary\nBcc: eve@evil.example"}`, "the subject would have control characters"},
		{"NUL", "welcome", `{"firstName":"canary\u0000"}`, "the subject would have control characters"},
		{"line separator", "welcome", `{"firstName":"canary\u2028"}`, "the subject would have control characters"},
		{"next line", "welcome", `{"firstName":"canary\u0085"}`, "the subject would have control characters"},
		{"long subject", "welcome", `{"firstName":"canary` + strings.Repeat("x", maxSubject) + `"}`, "more than 512 bytes"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := set.Render(test.template, jsontext.Value(test.data))
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "canary") {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
	if _, err := set.Render("lottery", nil); !errors.Is(err, ErrUnknown) {
		t.Errorf("got %v, want ErrUnknown", err)
	}
}

// Whatever a value holds, it stays a text: no markup, no link, no template.
func TestValuesStayText(t *testing.T) {
	t.Parallel()
	set := newSet(t)
	hostile := map[string]string{
		"template":     `{{.}}`,
		"inclusion":    `{{template \"content\" .}}`,
		"script":       `<script>alert(1)</script>`,
		"attribute":    `\" onmouseover=\"alert(1)`,
		"link":         `javascript:alert(1)`,
		"anchor":       `<a href=\"javascript:alert(1)\">x</a>`,
		"comment":      `--><img src=x onerror=alert(1)>`,
		"end of style": `</style><script>`,
	}
	fields := []string{
		"orderId", "amount", "currency", "orderDate", "paymentMethod", "paidAt", "trackingNumber", "estimatedDelivery", "reason",
		"refundAmount", "cancelledAt", "firstName", "email", "registeredAt", "productId", "productName", "outOfStockAt",
	}
	for kind, value := range hostile {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			var members []string
			for _, field := range fields {
				members = append(members, fmt.Sprintf(`%q:"%s"`, field, value))
			}
			data := jsontext.Value("{" + strings.Join(members, ",") + "}")
			plain := strings.ReplaceAll(value, `\"`, `"`)
			for _, name := range names() {
				harmless, err := set.Render(name, jsontext.Value(full))
				if err != nil {
					t.Fatal(err)
				}
				words, err := set.Render(name, data)
				if err != nil {
					t.Fatal(err)
				}
				if !strings.Contains(words.Text, plain) {
					t.Errorf("%s: the text does not show the value as it is:\n%s", name, words.Text)
				}
				if diff := cmp.Diff(tags(harmless.HTML), tags(words.HTML)); diff != "" {
					t.Errorf("%s: the value became markup: %s", name, diff)
				}
			}
		})
	}
}

// tag is anything between angle brackets.
var tag = regexp.MustCompile(`<[^>]*>`)

// tags returns what is markup in a page, with its attributes.
func tags(html string) []string { return tag.FindAllString(html, -1) }

func TestControlCharactersInBodies(t *testing.T) {
	t.Parallel()
	data := `{"reason":"one\r\ntwo\tthree\u001b]0;x\u0007\u0000"}`
	words, err := newSet(t).Render("order_cancelled", jsontext.Value(data))
	if err != nil {
		t.Fatal(err)
	}
	if want := "Reason: one\ntwo\tthree\uFFFD]0;x\uFFFD\uFFFD\n"; !strings.Contains(words.Text, want) {
		t.Errorf("got %q, want %q", words.Text, want)
	}
}

func TestMembersThatAreNoText(t *testing.T) {
	t.Parallel()
	data := `{"orderId":12345678901234567890,"amount":1e2,"currency":null,"orderDate":{"a":1},"other":[1]}`
	words, err := newSet(t).Render("order_confirmation", jsontext.Value(data))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(words.Text, "order 12345678901234567890.") || !strings.Contains(words.Text, "Total: 1e2 USD") {
		t.Errorf("got %s", words.Text)
	}
	if strings.Contains(words.Text, "Ordered") || strings.Contains(words.Text, "no value") {
		t.Errorf("got %s", words.Text)
	}
}

// A template that forgets "with" shows nothing where nothing is known.
func TestMissingMembers(t *testing.T) {
	t.Parallel()
	set, err := parse(fstest.MapFS{
		"n.subject.txt.tmpl": {Data: []byte("Order {{.orderId}}")},
		"n.txt.tmpl":         {Data: []byte("Order {{.orderId}}!")},
		"n.html.tmpl":        {Data: []byte(`{{define "content"}}<p>Order {{.orderId}}</p>{{end}}`)},
		"layout.html.tmpl":   {Data: []byte(`{{template "content" .}}`)},
	})
	if err != nil {
		t.Fatal(err)
	}
	got, err := set.Render("n", nil)
	if want := (Words{Subject: "Order ", Text: "Order !", HTML: "<p>Order </p>"}); err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}

func TestMalformedFiles(t *testing.T) {
	t.Parallel()
	good := &fstest.MapFile{Data: []byte("x")}
	bad := &fstest.MapFile{Data: []byte("{{.x")}
	content := &fstest.MapFile{Data: []byte(`{{define "content"}}{{end}}`)}
	for missing := range 4 {
		dir := fstest.MapFS{
			"n.subject.txt.tmpl": good, "n.txt.tmpl": good, "n.html.tmpl": content, "layout.html.tmpl": good,
		}
		file := []string{"n.subject.txt.tmpl", "n.txt.tmpl", "n.html.tmpl", "layout.html.tmpl"}[missing]
		dir[file] = bad
		if _, err := parse(dir); err == nil || !strings.Contains(err.Error(), "template n: ") {
			t.Errorf("%s: got %v", file, err)
		}
	}
}

func FuzzRender(f *testing.F) {
	f.Add("welcome", []byte(full))
	f.Add("welcome", []byte(`{"firstName":"\r\nBcc: x@y"}`))
	f.Add("order_cancelled", []byte(`{"reason":"\u0000<b>"}`))
	f.Add("x", []byte(`[`))
	set := newSet(f)
	f.Fuzz(func(t *testing.T, name string, data []byte) {
		words, err := set.Render(name, data)
		if err != nil {
			return
		}
		if !isHeaderLine(words.Subject) {
			t.Errorf("subject %q", words.Subject)
		}
		if strings.ContainsFunc(words.Text, func(r rune) bool { return r < ' ' && r != '\n' && r != '\t' }) {
			t.Errorf("text %q", words.Text)
		}
	})
}
