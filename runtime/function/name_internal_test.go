package function

import (
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestIsName(t *testing.T) {
	t.Parallel()
	form := regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)
	names := rapid.OneOf(rapid.StringMatching(`[a-c-]{0,5}[a-c0-2_-]{0,5}`), rapid.String(), rapid.Map(rapid.IntRange(60, 70),
		func(n int) string { return strings.Repeat("a", n) }))
	rapid.Check(t, func(t *rapid.T) {
		name := names.Draw(t, "name")
		if got, want := isName(name), len(name) <= 64 && form.MatchString(name); got != want {
			t.Fatalf("isName(%q) is %t, want %t", name, got, want)
		}
	})
}
