package mail

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	netmail "net/mail"
	"net/textproto"
	"strings"
	"time"
	"unicode"
)

// The bounds of a mail's structure.
const (
	maxDepth = 5
	maxParts = 50
)

// Message is a mail that was caught.
type Message struct {
	// Number counts the mails since the server started, from 1.
	Number   uint64
	Received time.Time
	// From and To are the addresses of the envelope, which decide where a mail goes; the headers only say so.
	From string
	To   []string
	// Subject is decoded (RFC 2047). It may hold any character: escape it before it reaches a terminal or a page.
	Subject string
	Header  netmail.Header
	// Text and HTML are the first bodies of their kind, decoded; empty where the mail has none.
	Text, HTML string
	// Raw is the mail as it came.
	Raw []byte
}

func (m *Message) size() int { return len(m.Raw) + len(m.Text) + len(m.HTML) }

// single are the headers that may stand once (RFC 5322 §3.6): a second one is the mark of an injection.
var single = []string{
	"Date", "From", "Sender", "Reply-To", "To", "Cc", "Bcc", "Message-Id", "In-Reply-To", "References", "Subject",
	"Content-Type", "Content-Transfer-Encoding", "Mime-Version",
}

// parse reads a mail strictly: bare CR or LF, NUL, a repeated header that may stand once, addresses that are none, and a
// body that does not match its headers are errors.
func parse(raw []byte) (Message, error) {
	if err := checkLines(raw); err != nil {
		return Message{}, err
	}
	parsed, err := netmail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return Message{}, fmt.Errorf("headers: %w", err)
	}
	m := Message{Header: parsed.Header, Raw: raw}
	if err := checkHeader(parsed.Header); err != nil {
		return Message{}, err
	}
	if m.Subject, err = new(mime.WordDecoder).DecodeHeader(parsed.Header.Get("Subject")); err != nil {
		return Message{}, fmt.Errorf("subject: %w", err)
	}
	b := bodies{message: &m}
	if err := b.read(textproto.MIMEHeader(parsed.Header), parsed.Body, 0); err != nil {
		return Message{}, err
	}
	return m, nil
}

// checkLines refuses what mail servers disagree about: where they do, one mail can be smuggled inside another.
func checkLines(raw []byte) error {
	for i, c := range raw {
		switch {
		case c == 0:
			return fmt.Errorf("NUL at byte %d", i)
		case c == '\n' && (i == 0 || raw[i-1] != '\r'):
			return fmt.Errorf("LF without CR at byte %d", i)
		case c == '\r' && (i+1 == len(raw) || raw[i+1] != '\n'):
			return fmt.Errorf("CR without LF at byte %d", i)
		}
	}
	return nil
}

func checkHeader(h netmail.Header) error {
	for _, name := range single {
		if len(h[name]) > 1 {
			return fmt.Errorf("header %s stands %d times", name, len(h[name]))
		}
	}
	for _, name := range []string{"From", "Sender", "Reply-To", "To", "Cc", "Bcc"} {
		if h.Get(name) == "" {
			continue
		}
		if _, err := h.AddressList(name); err != nil {
			return fmt.Errorf("header %s: %w", name, err)
		}
	}
	if h.Get("From") == "" {
		return errors.New("header From is missing")
	}
	return nil
}

// checkAddress accepts what stands between the brackets of MAIL FROM and RCPT TO.
func checkAddress(address string) error {
	if strings.ContainsFunc(address, unicode.IsControl) {
		return errors.New("control characters in an address")
	}
	if parsed, err := netmail.ParseAddress("<" + address + ">"); err != nil || parsed.Address != address {
		return errors.New("not an address")
	}
	return nil
}

// bodies collects the text and HTML body of a message.
type bodies struct {
	message *Message
	parts   int
}

func (b *bodies) read(h textproto.MIMEHeader, body io.Reader, depth int) error {
	if b.parts++; b.parts > maxParts || depth > maxDepth {
		return fmt.Errorf("more than %d parts, or %d levels of them", maxParts, maxDepth)
	}
	mediaType, params := "text/plain", map[string]string{}
	if ct := h.Get("Content-Type"); ct != "" {
		var err error
		if mediaType, params, err = mime.ParseMediaType(ct); err != nil {
			return fmt.Errorf("header Content-Type: %w", err)
		}
	}
	if strings.HasPrefix(mediaType, "multipart/") {
		return b.readParts(multipart.NewReader(body, params["boundary"]), depth)
	}
	content, err := decoded(h.Get("Content-Transfer-Encoding"), body)
	if err != nil {
		return fmt.Errorf("%s body: %w", mediaType, err)
	}
	switch {
	case mediaType == "text/plain" && b.message.Text == "":
		b.message.Text = content
	case mediaType == "text/html" && b.message.HTML == "":
		b.message.HTML = content
	}
	return nil
}

func (b *bodies) readParts(parts *multipart.Reader, depth int) error {
	for {
		part, err := parts.NextRawPart()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("parts: %w", err)
		}
		if err := b.read(part.Header, part, depth+1); err != nil {
			return err
		}
	}
}

func decoded(encoding string, body io.Reader) (string, error) {
	switch strings.ToLower(encoding) {
	case "", "7bit", "8bit", "binary":
	case "quoted-printable":
		body = quotedprintable.NewReader(body)
	case "base64":
		body = base64.NewDecoder(base64.StdEncoding, body)
	default:
		return "", fmt.Errorf("unknown transfer encoding %q", encoding)
	}
	content, err := io.ReadAll(body)
	if err != nil {
		return "", err
	}
	return strings.ToValidUTF8(string(content), "�"), nil
}
