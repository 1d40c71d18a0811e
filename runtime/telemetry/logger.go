package telemetry

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxAttr bounds the text of one attribute, in bytes. A broker's error, or a value of a foreign event, can be of any
// length.
const maxAttr = 2 << 10

// NewLogger returns a logger that writes to w in the level and format of c, one line for each call. Service name and
// version stand in every line, where they are set.
//
// A text is cut at 2 KiB; characters that a terminal acts on instead of showing them are written as \u202e. Durations are
// written as Go prints them ("1.5s"), times in UTC, and values that are neither numbers nor texts as %+v prints them.
//
// A level or format that c does not allow counts as its default.
func NewLogger(w io.Writer, c Config) *slog.Logger {
	options := &slog.HandlerOptions{Level: level(c.LogLevel), ReplaceAttr: bound}
	var handler slog.Handler = slog.NewJSONHandler(w, options)
	if c.LogFormat == "text" {
		handler = slog.NewTextHandler(w, options)
	}
	log := slog.New(handler)
	if c.ServiceName != "" {
		log = log.With("service", c.ServiceName)
	}
	if c.ServiceVersion != "" {
		log = log.With("version", c.ServiceVersion)
	}
	return log
}

func level(name string) slog.Level {
	switch name {
	case "debug":
		return slog.LevelDebug
	case "warn":
		return slog.LevelWarn
	case "error":
		return slog.LevelError
	default:
		return slog.LevelInfo
	}
}

// bound makes an attribute safe to print.
func bound(_ []string, a slog.Attr) slog.Attr {
	switch a.Value.Kind() {
	case slog.KindString:
		a.Value = slog.StringValue(printable(a.Value.String()))
	case slog.KindDuration:
		a.Value = slog.StringValue(a.Value.Duration().String())
	case slog.KindTime:
		a.Value = slog.TimeValue(a.Value.Time().UTC())
	case slog.KindAny:
		if _, ok := a.Value.Any().(slog.Level); !ok {
			a.Value = slog.StringValue(printable(fmt.Sprintf("%+v", a.Value.Any())))
		}
	case slog.KindBool, slog.KindFloat64, slog.KindInt64, slog.KindUint64, slog.KindGroup, slog.KindLogValuer:
	}
	return a
}

// printable cuts text and escapes what the handlers do not: they care for their own format, not for terminals.
func printable(text string) string {
	text, cut := cutText(text, maxAttr)
	if strings.ContainsFunc(text, acts) {
		var b strings.Builder
		for _, r := range text {
			if acts(r) {
				fmt.Fprintf(&b, `\u%04x`, r)
			} else {
				b.WriteRune(r)
			}
		}
		text = b.String()
	}
	if cut > 0 {
		text += fmt.Sprintf("… (%d bytes more)", cut)
	}
	return text
}

// acts reports whether a terminal may act on r. The control characters of ASCII are left to the handlers, which escape
// them.
func acts(r rune) bool { return r >= 0x7f && !unicode.IsPrint(r) && !unicode.IsSpace(r) }

// cutText returns the first characters of text, at most limit bytes, and how many bytes it left off.
func cutText(text string, limit int) (kept string, cut int) {
	if len(text) <= limit {
		return text, 0
	}
	end := limit
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end], len(text) - end
}
