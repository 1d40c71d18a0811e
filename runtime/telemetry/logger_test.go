package telemetry_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/millrace/millrace/runtime/config"
	"github.com/millrace/millrace/runtime/telemetry"
)

func lookup(variables map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		value, ok := variables[name]
		return value, ok
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, variable, value, problem string
	}{
		{"nothing set", "", "", ""},
		{"debug", "LOG_LEVEL", "debug", ""},
		{"a loud level", "LOG_LEVEL", "DEBUG", "LOG_LEVEL must be one of debug, info, warn, error"},
		{"an unknown format", "LOG_FORMAT", "xml", "LOG_FORMAT must be one of json, text"},
		{"HTTP off", "HTTP_ADDR", "off", ""},
		{"HTTP nowhere", "HTTP_ADDR", "", ""},
		{"HTTP everywhere", "HTTP_ADDR", ":9464", ""},
		{"IPv6", "HTTP_ADDR", "[::1]:0", ""},
		{"no port", "HTTP_ADDR", "127.0.0.1", "HTTP_ADDR must be host:port such as 127.0.0.1:9464, or off"},
		{"a large port", "HTTP_ADDR", "127.0.0.1:65536", "HTTP_ADDR must be host:port such as 127.0.0.1:9464, or off"},
		{"a negative port", "HTTP_ADDR", "127.0.0.1:-1", "HTTP_ADDR must be host:port such as 127.0.0.1:9464, or off"},
		{"a long name", "SERVICE_NAME", strings.Repeat("x", 129), "SERVICE_NAME must be a text of at most 128 characters"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var text string
			if err := config.Load(lookup(map[string]string{test.variable: test.value}), &telemetry.Config{}); err != nil {
				text = err.Error()
			}
			if text != test.problem {
				t.Errorf("got %q, want %q", text, test.problem)
			}
		})
	}
}

func TestEveryVariableIsDocumented(t *testing.T) {
	t.Parallel()
	for _, v := range config.Describe(&telemetry.Config{}) {
		if !strings.HasSuffix(v.Doc, ".") {
			t.Errorf("%s: the doc tag is no sentence: %q", v.Name, v.Doc)
		}
	}
}

func TestLoggerLevels(t *testing.T) {
	t.Parallel()
	for level, want := range map[string]int{"debug": 4, "info": 3, "warn": 2, "error": 1, "": 3} {
		var b bytes.Buffer
		log := telemetry.NewLogger(&b, telemetry.Config{LogLevel: level})
		log.Debug("x")
		log.Info("x")
		log.Warn("x")
		log.Error("x")
		if got := strings.Count(b.String(), "\n"); got != want {
			t.Errorf("%s: %d lines, want %d", level, got, want)
		}
	}
}

func TestLoggerWritesAttributes(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	log := telemetry.NewLogger(&b, telemetry.Config{ServiceName: "shop", ServiceVersion: "1.2.3"})
	var typedNil *config.Error
	log.Error("hello",
		"error", errors.New("broken"),
		"took", 1500*time.Millisecond,
		"at", time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("", 3600)),
		"list", []string{"a", "b"},
		"bytes", []byte("ab"),
		"nil", error(nil),
		"typed", error(typedNil),
		slog.Group("broker", "id", 1, "secret", config.NewSecret("canary")),
	)
	var got map[string]any
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"level": "ERROR", "msg": "hello", "service": "shop", "version": "1.2.3",
		"error": "broken", "took": "1.5s", "at": "2026-01-02T02:04:05Z", "list": "[a b]", "bytes": "[97 98]",
		"nil": "<nil>", "typed": "<nil>",
	}
	for name, value := range want {
		if got[name] != value {
			t.Errorf("%s is %v, want %v", name, got[name], value)
		}
	}
	if broker, _ := got["broker"].(map[string]any); broker["id"] != 1.0 || broker["secret"] != "[redacted]" {
		t.Errorf("broker is %v", got["broker"])
	}
	if at, err := time.Parse(time.RFC3339Nano, got["time"].(string)); err != nil || at.Location() != time.UTC {
		t.Errorf("time is %v", got["time"])
	}
}

// Whatever an event or a broker says, a call writes one line, of a bounded length, that no terminal acts on.
func TestLoggerOneLineProperty(t *testing.T) {
	t.Parallel()
	hostile := rapid.SampledFrom([]string{
		"\n{\"level\":\"ERROR\"}\n", "\x1b]0;owned\x07", "\x1b[2J", "\u202e", "\u009b31m", "\x00", "\r", "\x7f", "\xff\xfe", "\u2028", "ä",
		strings.Repeat("long ", 1000),
	})
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOfN(rapid.OneOf(hostile, rapid.String()), 0, 20).Draw(t, "parts"), "")
		format := rapid.SampledFrom([]string{"json", "text"}).Draw(t, "format")
		var b bytes.Buffer
		telemetry.NewLogger(&b, telemetry.Config{LogFormat: format}).Info(text, "text", text, "error", errors.New(text))
		line, found := strings.CutSuffix(b.String(), "\n")
		if !found || !utf8.ValidString(line) {
			t.Fatalf("not a line of text: %q", b.String())
		}
		if i := strings.IndexFunc(line, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\u202e' || r == '\u009b' }); i >= 0 {
			t.Fatalf("a character that a terminal acts on at %d: %q", i, line)
		}
		// Escapes take up to six bytes for one.
		if len(line) > 3*6*2100+200 {
			t.Fatalf("%d bytes", len(line))
		}
	})
}

func TestLoggerSaysWhatItCut(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	telemetry.NewLogger(&b, telemetry.Config{}).Info("x", "text", strings.Repeat("x", 2047)+"ä"+"tail")
	if want := `"text":"` + strings.Repeat("x", 2047) + `… (6 bytes more)"`; !strings.Contains(b.String(), want) {
		t.Errorf("got %s", b.String())
	}
}
