package notificationrequested

import (
	"errors"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// The longest that an address may be (RFC 5321 §4.5.3.1, RFC 1035 §2.3.4).
const (
	maxLocalPart = 64
	maxDomain    = 189 // with "@" and the local part at most the 254 of a path
	maxLabel     = 63
	maxRecipient = 256
)

var (
	errNoRecipient = errors.New("the notification names no recipient")
	errRecipient   = errors.New("the recipient is neither an address nor an id of letters, digits and . _ + -")
	errControl     = errors.New("the recipient has control characters or more than 256 bytes")
)

// addressOf returns the address that an email for recipient goes to. The package comment has the rules. The errors do
// not quote the recipient.
func addressOf(recipient string, data jsontext.Value, domain string) (string, error) {
	email := emailIn(data)
	switch {
	case !isPlain(recipient), !isPlain(email):
		return "", errControl
	case strings.Contains(recipient, "@"):
		if !isAddress(recipient) {
			return "", errRecipient
		}
		return recipient, nil
	case isAddress(email):
		return email, nil
	case recipient == "":
		return "", errNoRecipient
	case !isLocalPart(recipient):
		return "", errRecipient
	}
	return recipient + "@" + domain, nil
}

// emailIn returns the member email of data, empty where there is none.
func emailIn(data jsontext.Value) string {
	var known struct {
		Email jsontext.Value `json:"email"`
	}
	var email string
	if json.Unmarshal(data, &known) != nil || known.Email.Kind() != '"' || json.Unmarshal(known.Email, &email) != nil {
		return ""
	}
	return email
}

// isPlain tells whether text can stand in a header or a command without ending it.
func isPlain(text string) bool {
	return len(text) <= maxRecipient && !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// isAddress tells whether text is a bare address: a dot-atom of letters, digits and . _ + - at a domain name. RFC 5321
// knows more, quoted local parts above all. They are refused: they have carried parameters into SMTP commands.
func isAddress(text string) bool {
	local, domain, found := strings.Cut(text, "@")
	return found && isLocalPart(local) && isDomain(domain)
}

func isLocalPart(text string) bool {
	if len(text) > maxLocalPart {
		return false
	}
	for atom := range strings.SplitSeq(text, ".") {
		if atom == "" || strings.ContainsFunc(atom, notInAtom) {
			return false
		}
	}
	return true
}

func notInAtom(r rune) bool { return !isAlphanumeric(r) && !strings.ContainsRune("_+-", r) }

func isDomain(text string) bool {
	if len(text) > maxDomain {
		return false
	}
	for label := range strings.SplitSeq(text, ".") {
		if !isLabel(label) {
			return false
		}
	}
	return true
}

func isLabel(text string) bool {
	return text != "" && len(text) <= maxLabel && text[0] != '-' && text[len(text)-1] != '-' &&
		!strings.ContainsFunc(text, func(r rune) bool { return !isAlphanumeric(r) && r != '-' })
}

func isAlphanumeric(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
}
