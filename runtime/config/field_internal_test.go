package config

import (
	"regexp"
	"testing"

	"pgregory.net/rapid"
)

func TestIsVariable(t *testing.T) {
	t.Parallel()
	form := regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	names := rapid.OneOf(rapid.StringMatching(`[@AZ_\[az{09-]{0,6}`), rapid.String())
	rapid.Check(t, func(t *rapid.T) {
		name := names.Draw(t, "name")
		if got, want := isVariable(name), form.MatchString(name); got != want {
			t.Fatalf("isVariable(%q) is %t, want %t", name, got, want)
		}
	})
}
