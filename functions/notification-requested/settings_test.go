package notificationrequested

import (
	"os"
	"strings"
	"testing"

	"github.com/millrace/millrace/runtime/config"
)

// The package comment lists every variable with its default.
func TestSettingsAreDocumented(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(source), "\n")
	for _, v := range config.Describe(&settings{}) {
		found := false
		for _, line := range lines {
			found = found || strings.Contains(line, v.Name) && strings.Contains(line, v.Default)
		}
		if !found {
			t.Errorf("doc.go lacks %s with its default %q", v.Name, v.Default)
		}
	}
}
