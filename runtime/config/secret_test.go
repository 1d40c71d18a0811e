package config_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	jsonv2 "github.com/go-json-experiment/json"
	"pgregory.net/rapid"

	"github.com/millrace/millrace/runtime/config"
)

const canary = "c4n4ry-in-the-mine"

type holder struct {
	Exported   config.Secret
	Pointer    *config.Secret
	unexported config.Secret
	list       []config.Secret
	byName     map[string]config.Secret
}

func newHolder() holder {
	s := config.NewSecret(canary)
	return holder{s, &s, s, []config.Secret{s}, map[string]config.Secret{"x": s}}
}

func TestNoVerbShowsASecret(t *testing.T) {
	t.Parallel()
	h := newHolder()
	hex := fmt.Sprintf("%x", canary)
	for verb := range strings.SplitSeq("v +v #v s q x X d t c U e p T 20s -20v .3s #q #x", " ") {
		for _, value := range []any{h, &h, h.Exported, h.Pointer, h.list, h.byName} {
			text := fmt.Sprintf("%"+verb, value)
			if strings.Contains(text, canary[:3]) || strings.Contains(strings.ToLower(text), hex[:8]) {
				t.Errorf("%%%s of a %T shows the secret: %s", verb, value, text)
			}
		}
	}
}

func TestNoEncoderShowsASecret(t *testing.T) {
	t.Parallel()
	h := newHolder()
	outputs := map[string]string{"fmt.Errorf": fmt.Errorf("login %v: %w", h, os.ErrPermission).Error()}
	v1, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	v2, err := jsonv2.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	outputs["encoding/json"], outputs["go-json-experiment"] = string(v1), string(v2)

	var asJSON, asText bytes.Buffer
	slog.New(slog.NewJSONHandler(&asJSON, nil)).Info("x", "secret", h.Exported, "holder", h, "pointer", h.Pointer)
	slog.New(slog.NewTextHandler(&asText, nil)).Info("x", "secret", h.Exported, "holder", h, "pointer", h.Pointer)
	outputs["slog json"], outputs["slog text"] = asJSON.String(), asText.String()

	for name, output := range outputs {
		if strings.Contains(output, canary) || !strings.Contains(output, "[redacted]") {
			t.Errorf("%s writes %s", name, output)
		}
	}
}

func TestAnEmptySecretIsShownEmpty(t *testing.T) {
	t.Parallel()
	empty := config.NewSecret("")
	if got := fmt.Sprintf("%v %q %#v", empty, empty, empty); got != ` "" config.Secret("")` {
		t.Errorf("got %s", got)
	}
	if !empty.IsZero() || config.NewSecret("x").IsZero() {
		t.Error("IsZero is wrong")
	}
}

// A secret may be put into any variable by mistake: no value is ever told.
func TestNoErrorShowsAValue(t *testing.T) {
	t.Parallel()
	type target struct {
		Text     string        `env:"TEXT" max:"1"`
		Word     string        `env:"WORD" oneof:"a|b"`
		List     []string      `env:"LIST" max:"0"`
		Switch   bool          `env:"SWITCH"`
		Count    int           `env:"COUNT" max:"1"`
		Size     uint8         `env:"SIZE"`
		Ratio    float32       `env:"RATIO" max:"1"`
		Wait     time.Duration `env:"WAIT" max:"1s"`
		When     time.Time     `env:"WHEN"`
		Level    slog.Level    `env:"LEVEL"`
		Password config.Secret `env:"PASSWORD" max:"1"`
		Key      config.Secret `env:"KEY"`
	}
	rapid.Check(t, func(t *rapid.T) {
		secret := rapid.StringMatching(`c4n[a-z0-9]{8,40}|[0-9]{9,17}`).Draw(t, "secret")
		variables := map[string]string{"KEY_FILE": secret}
		for _, v := range config.Describe(&target{})[:11] {
			variables[v.Name] = secret
		}
		err := config.Load(environment(variables), &target{})
		if err == nil || len(strings.Split(err.Error(), "\n")) != len(variables) {
			t.Fatalf("want a problem for each of %d variables, got:\n%v", len(variables), err)
		}
		if text := fmt.Sprintf("%v %+v %#v", err, err, err); strings.Contains(text, secret) {
			t.Fatalf("the error shows %s:\n%s", secret, text)
		}
	})
}

func TestSecretFromFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	tests := []struct {
		name, value, path string
		want, problem     string
	}{
		{"a file", "", write("plain", " s3cret "), " s3cret ", ""},
		{"one line end is cut off", "", write("lines", "s3cret\n\r\n"), "s3cret\n", ""},
		{"the variable itself goes first", "given", filepath.Join(dir, "missing"), "given", ""},
		{"no path", "", "", "", ""},
		{"no file", "", filepath.Join(dir, "missing"), "", "PASSWORD_FILE must be the path of a file that can be read: no such file or directory"},
		{"a directory", "", dir, "", "PASSWORD_FILE must be the path of a regular file"},
		{"an empty file", "", write("empty", "\n"), "", "PASSWORD_FILE must be the path of a file that is not empty"},
		{"a huge file", "", write("huge", strings.Repeat("x", 64<<10+1)), "", "PASSWORD_FILE must be the path of a file of at most 65536 bytes"},
		{"a short secret", "", write("short", "x"), "x", "PASSWORD must be a secret of at least 2 characters"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var target struct {
				Password config.Secret `env:"PASSWORD" min:"2"`
				User     string        `env:"USER"`
			}
			err := config.Load(environment(map[string]string{
				"PASSWORD": test.value, "PASSWORD_FILE": test.path, "USER_FILE": filepath.Join(dir, "plain"),
			}), &target)
			if textOf(err) != test.problem || target.Password.Reveal() != test.want || target.User != "" {
				t.Errorf("got %q and %v, want %q and %q", target.Password.Reveal(), err, test.want, test.problem)
			}
		})
	}
}

func TestRequiredSecretFromFile(t *testing.T) {
	t.Parallel()
	var target struct {
		Password config.Secret `env:"PASSWORD, required"`
	}
	path := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(path, []byte("s3cret"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := config.Load(environment(map[string]string{"PASSWORD_FILE": path}), &target); err != nil {
		t.Error(err)
	}
	err := config.Load(environment(map[string]string{"PASSWORD": ""}), &target)
	if textOf(err) != "PASSWORD is not set, must be a secret" {
		t.Errorf("got %v", err)
	}
}
