package text

import (
	"fmt"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// AppendEscaped appends s to dst with everything made visible that a terminal would obey or hide: control characters,
// changes of direction, characters without width, bytes that are no UTF-8. The result is one line.
func AppendEscaped(dst []byte, s string) []byte {
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && size == 1:
			dst = fmt.Appendf(dst, `\x%02x`, s[0])
		case strconv.IsPrint(r):
			dst = append(dst, s[:size]...)
		default:
			quoted := strconv.AppendQuoteRuneToASCII(nil, r)
			dst = append(dst, quoted[1:len(quoted)-1]...)
		}
		s = s[size:]
	}
	return dst
}

// Escaped returns s as [AppendEscaped] writes it.
func Escaped(s string) string { return string(AppendEscaped(nil, s)) }

// appendEscapedJSON appends a JSON text of one line, in which what a terminal would obey or hide stands as \u escapes. It
// is the same JSON: such characters can occur in its strings only.
func appendEscapedJSON(dst, text []byte) []byte {
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		switch {
		case strconv.IsPrint(r):
			dst = append(dst, text[:size]...)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			dst = fmt.Appendf(dst, `\u%04x\u%04x`, high, low)
		default:
			dst = fmt.Appendf(dst, `\u%04x`, r)
		}
		text = text[size:]
	}
	return dst
}
