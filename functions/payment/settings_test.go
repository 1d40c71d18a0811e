package payment

import (
	"maps"
	"path/filepath"
	"strings"
	"testing"
)

func TestSettings(t *testing.T) {
	t.Parallel()
	right := map[string]string{"DATABASE_URL": filepath.Join(t.TempDir(), "payment.db"), "PAYMENT_PROVIDER_KEY": "canary"}
	for name, test := range map[string]struct{ variable, value, says string }{
		"right":                {"PAYMENT_TIMEOUT", "10s", ""},
		"http elsewhere":       {"PAYMENT_PROVIDER_URL", "http://psp.example", "PAYMENT_PROVIDER_URL must be an https URL"},
		"no key":               {"PAYMENT_PROVIDER_KEY", "", "PAYMENT_PROVIDER_KEY is not set"},
		"a key with a space":   {"PAYMENT_PROVIDER_KEY", "canary bird", "PAYMENT_PROVIDER_KEY must be plain"},
		"a key of two lines":   {"PAYMENT_PROVIDER_KEY", "canary\nX: y", "PAYMENT_PROVIDER_KEY must be plain"},
		"longer than a record": {"PAYMENT_TIMEOUT", "1m", "PAYMENT_TIMEOUT must be"},
		"no database":          {"DATABASE_URL", "", "DATABASE_URL must be set"},
		"no folder":            {"DATABASE_URL", filepath.Join(t.TempDir(), "missing", "x.db"), "function payment: DATABASE_URL"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			environment := maps.Clone(right)
			environment[test.variable] = test.value
			h, err := Spec.New(func(name string) (string, bool) { v, ok := environment[name]; return v, ok })
			if test.says == "" && err != nil || test.says != "" && (err == nil || !strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), "canary")) {
				t.Errorf("got %v, want an error that says %q", err, test.says)
			}
			if h != nil {
				requireClosed(t, h.(*service).Close())
			}
		})
	}
}

func TestSpecIsComplete(t *testing.T) {
	t.Parallel()
	if _, err := Spec.Complete(); err != nil {
		t.Error(err)
	}
}
