package mail

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func FuzzParse(f *testing.F) {
	const head = "From: a@example.com\r\nTo: b@example.com\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n"
	f.Add([]byte(head + "\r\nhello\r\n"))
	f.Add([]byte(head + "Content-Transfer-Encoding: base64\r\n\r\naGVsbG8=\r\n"))
	f.Add([]byte(head + "Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\n\r\nhello\r\n--b\r\n" +
		"Content-Type: text/html\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n<p>=C3=BC</p>\r\n--b--\r\n"))
	f.Add([]byte(head + "Subject: twice\r\n\r\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := parse(raw)
		if err != nil {
			return
		}
		if strings.Contains(strings.ReplaceAll(string(raw), "\r\n", ""), "\n") {
			t.Error("a bare LF was accepted")
		}
		if m.Header.Get("From") == "" || len(m.Header["Subject"]) > 1 {
			t.Errorf("accepted with the headers %v", m.Header)
		}
		if !utf8.ValidString(m.Text) || !utf8.ValidString(m.HTML) {
			t.Error("a body is not UTF-8")
		}
	})
}
