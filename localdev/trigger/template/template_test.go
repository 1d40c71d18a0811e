package template_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/localdev/trigger/template"
)

var update = flag.Bool("update", false, "write what the tests get to testdata")

var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// TestGolden compares each testdata/NAME.yaml with testdata/NAME.golden.json.
func TestGolden(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("there are no templates in testdata: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := dump(t, data)
			golden := strings.TrimSuffix(file, ".yaml") + ".golden.json"
			if *update {
				if err := os.WriteFile(golden, got, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("%s (-want +got; -update writes it):\n%s", golden, diff)
			}
		})
	}
}

// dump writes what Parse makes of a template, or its errors.
func dump(t *testing.T, data []byte) []byte {
	t.Helper()
	parsed, err := template.Parse(data, &template.Options{Now: now, Region: "eu-west-1"})
	var result struct {
		Errors   []string
		Template *template.Template
	}
	result.Template = parsed
	if err != nil {
		result.Errors = strings.Split(err.Error(), "\n")
	}
	var out bytes.Buffer
	seconds := json.MarshalToFunc(func(e *jsontext.Encoder, d time.Duration) error { return e.WriteToken(jsontext.String(d.String())) })
	if err := json.MarshalWrite(&out, result, json.Deterministic(true), json.WithMarshalers(seconds), jsontext.WithIndent("  ")); err != nil {
		t.Fatal(err)
	}
	out.WriteByte('\n')
	return out.Bytes()
}

func parse(t *testing.T, text string, o *template.Options) *template.Template {
	t.Helper()
	parsed, err := template.Parse([]byte(text), o)
	if err != nil {
		t.Fatalf("Parse: %v", err)
	}
	return parsed
}
