package notificationrequested

import (
	"errors"
	"fmt"
	"net/mail"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

const testDomain = "customers.millrace.example"

func TestAddressOf(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, recipient, data, want string
		err                         error
	}{
		{"an id", "customer-789", ``, "customer-789@" + testDomain, nil},
		{"an id with a dot", "anna.maria_1+x", ``, "anna.maria_1+x@" + testDomain, nil},
		{"an address", "ann@shop.example", ``, "ann@shop.example", nil},
		{"an address goes before data", "ann@shop.example", `{"email":"bob@shop.example"}`, "ann@shop.example", nil},
		{"data", "user-1", `{"email":"bob@shop.example"}`, "bob@shop.example", nil},
		{"data alone", "", `{"email":"bob@shop.example"}`, "bob@shop.example", nil},
		{"data that is no address", "user-1", `{"email":"bob"}`, "user-1@" + testDomain, nil},
		{"data that is no text", "user-1", `{"email":1}`, "user-1@" + testDomain, nil},
		{"data that is no object", "user-1", `[]`, "user-1@" + testDomain, nil},
		{"a host without dots", "root@localhost", ``, "root@localhost", nil},
		{"the longest", strings.Repeat("a", 64) + "@" + strings.Repeat("b", 63) + ".example", ``, strings.Repeat("a", 64) + "@" + strings.Repeat("b", 63) + ".example", nil},

		{"nobody", "", ``, "", errNoRecipient},
		{"nobody, null", "", `{"email":null}`, "", errNoRecipient},
		{"spaces", "customer 789", ``, "", errRecipient},
		{"umlaut", "zoë", ``, "", errRecipient},
		{"slash", "a/b", ``, "", errRecipient},
		{"dots at the end", "a.", ``, "", errRecipient},
		{"two dots", "a..b", ``, "", errRecipient},
		{"a long id", strings.Repeat("a", 65), ``, "", errRecipient},
		{"two addresses", "a@shop.example,b@shop.example", ``, "", errRecipient},
		{"two at", "a@b@shop.example", ``, "", errRecipient},
		{"display name", "Ann <ann@shop.example>", ``, "", errRecipient},
		{"encoded display name", "=?utf-8?q?a=0d=0aBcc:_x@y?= <ann@shop.example>", ``, "", errRecipient},
		{"angle brackets", "<ann@shop.example>", ``, "", errRecipient},
		{"quoted local part", `"x@y> ORCPT=z"@b.example`, ``, "", errRecipient},
		{"quoted local part with spaces", `"a b"@b.example`, ``, "", errRecipient},
		{"parameters", "ann@shop.example> NOTIFY=NEVER", ``, "", errRecipient},
		{"source route", "@a.example:ann@b.example", ``, "", errRecipient},
		{"literal", "ann@[127.0.0.1]", ``, "", errRecipient},
		{"percent", "ann%b.example@c.example", ``, "", errRecipient},
		{"bang", "b.example!ann@c.example", ``, "", errRecipient},
		{"comment", "ann(x)@b.example", ``, "", errRecipient},
		{"empty label", "ann@b..example", ``, "", errRecipient},
		{"hyphen", "ann@-b.example", ``, "", errRecipient},
		{"no domain", "ann@", ``, "", errRecipient},
		{"no local part", "@b.example", ``, "", errRecipient},
		{"foreign letters", "ann@bücher.example", ``, "", errRecipient},
		{"line end", "a@b>\r\nDATA", ``, "", errControl},
		{"line end in an id", "a\r\nRCPT TO:<b@c>", ``, "", errControl},
		{"line feed", "ann@shop.example\nBcc: eve@evil.example", ``, "", errControl},
		{"NUL", "ann@shop.example\x00", ``, "", errControl},
		{"line end in data", "user-1", `{"email":"a@b.example\r\nBcc: eve@evil.example"}`, "", errControl},
		{"long recipient", strings.Repeat("a", 300), ``, "", errControl},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := addressOf(test.recipient, jsontext.Value(test.data), testDomain)
			if got != test.want || !errors.Is(err, test.err) {
				t.Errorf("got %q, %v, want %q, %v", got, err, test.want, test.err)
			}
		})
	}
}

// What comes out of the sanitising is one bare address to every reader, and is the recipient, the email or the
// recipient at the domain.
func FuzzAddressOf(f *testing.F) {
	for _, seed := range []string{
		"customer-789", "ann@shop.example", "a@b>\r\nDATA", `"x@y> ORCPT=z"@b`, "=?utf-8?q?x?= <a@b>", "a,b@c", "@", "ａ＠ｂ", "a\u2028b@c",
	} {
		f.Add(seed, []byte(`{"email":"bob@shop.example"}`))
		f.Add("user-1", fmt.Appendf(nil, `{"email":%q}`, seed))
	}
	f.Fuzz(func(t *testing.T, recipient string, data []byte) {
		address, err := addressOf(recipient, data, testDomain)
		if err != nil {
			return
		}
		parsed, err := mail.ParseAddressList(address)
		if err != nil || len(parsed) != 1 || parsed[0].Address != address || parsed[0].Name != "" {
			t.Fatalf("%q is not one bare address: %v, %v", address, parsed, err)
		}
		if strings.ContainsFunc(address, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(`<>"(),:;[]\`, r) }) {
			t.Fatalf("%q has characters that mean something to SMTP", address)
		}
		if address != recipient && address != recipient+"@"+testDomain && address != emailIn(data) {
			t.Fatalf("%q comes from nowhere", address)
		}
	})
}
