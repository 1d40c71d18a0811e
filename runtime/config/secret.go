package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"strings"
)

// redacted stands for a secret wherever one is printed.
const redacted = "[redacted]"

// Secret is a value that no log line, error or dump shows: every way to print it yields "[redacted]", or nothing where
// it is empty. The zero Secret is empty. Secrets are not to be compared with ==.
type Secret struct {
	// value is a pointer because fmt calls no methods on a Secret in an unexported field: it would print the text.
	value *string
}

// NewSecret returns a Secret that holds value.
func NewSecret(value string) Secret {
	if value == "" {
		return Secret{}
	}
	return Secret{value: &value}
}

// Reveal returns the value itself, for the one place that needs it.
func (s Secret) Reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// IsZero reports whether s is empty.
func (s Secret) IsZero() bool { return s.value == nil }

// String returns "[redacted]", or "" where s is empty.
func (s Secret) String() string {
	if s.IsZero() {
		return ""
	}
	return redacted
}

// GoString returns what %#v shows.
func (s Secret) GoString() string { return fmt.Sprintf("config.Secret(%q)", s.String()) }

// Format writes the same for every verb: %x and %d would else reach the value.
func (s Secret) Format(state fmt.State, verb rune) {
	text := s.String()
	switch {
	case verb == 'v' && state.Flag('#'):
		text = s.GoString()
	case verb == 'q':
		text = `"` + text + `"`
	}
	// A writer that fails is the caller's affair: Format cannot return its error.
	_, _ = io.WriteString(state, text)
}

// MarshalText returns what String returns.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// MarshalJSON returns what String returns, as a JSON string.
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + s.String() + `"`), nil }

// LogValue returns what String returns.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// UnmarshalText makes s hold text.
func (s *Secret) UnmarshalText(text []byte) error {
	*s = NewSecret(string(text))
	return nil
}

// maxSecretFile bounds the file of a secret, in bytes. The largest that people keep in one are chains of certificates.
const maxSecretFile = 64 << 10

// readSecret returns the content of the file at path, without the line end that editors add. Its errors never hold the
// path: a secret may have been put in its place.
func readSecret(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", unreadable(err)
	}
	if !info.Mode().IsRegular() {
		return "", errors.New("must be the path of a regular file")
	}
	if info.Size() > maxSecretFile {
		return "", fmt.Errorf("must be the path of a file of at most %d bytes", maxSecretFile)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return "", unreadable(err)
	}
	secret := strings.TrimSuffix(strings.TrimSuffix(string(content), "\n"), "\r")
	if secret == "" {
		return "", errors.New("must be the path of a file that is not empty")
	}
	return secret, nil
}

func unreadable(err error) error {
	if pathError, ok := errors.AsType[*fs.PathError](err); ok {
		err = pathError.Err
	}
	return fmt.Errorf("must be the path of a file that can be read: %w", err)
}
