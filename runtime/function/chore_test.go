package function_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/runtime/function"
)

func TestAChoreIsCompleted(t *testing.T) {
	t.Parallel()
	run := func(context.Context, function.Publish) error { return nil }
	for _, tc := range []struct {
		name  string
		chore function.Chore
		every time.Duration
		want  []string
	}{
		{"defaults", function.Chore{Name: "outbox", Run: run}, function.DefaultEvery, nil},
		{"own pause", function.Chore{Name: "order-deadlines", Run: run, Every: time.Minute}, time.Minute, nil},
		{"nothing", function.Chore{}, function.DefaultEvery, []string{"Name must be", "Run is nil"}},
		{"odd name", function.Chore{Name: "Out box", Run: run}, function.DefaultEvery, []string{`chore "Out box": Name must be`}},
		{"negative pause", function.Chore{Name: "outbox", Run: run, Every: -1}, -1, []string{"Every is -1ns"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got, err := tc.chore.Complete()
			requireProblems(t, err, tc.want)
			if got.Every != tc.every {
				t.Errorf("Every is %s, want %s", got.Every, tc.every)
			}
		})
	}
}

func TestAServiceIsCompleted(t *testing.T) {
	t.Parallel()
	newHandler := func(function.Lookup) (http.Handler, error) { return http.NotFoundHandler(), nil }
	for _, tc := range []struct {
		name    string
		service function.Service
		want    []string
	}{
		{"whole", function.Service{Name: "order-api", New: newHandler}, nil},
		{"nothing", function.Service{}, []string{"Name must be", "New is nil"}},
		{"odd name", function.Service{Name: "order_api", New: newHandler}, []string{`service "order_api": Name must be`}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, err := tc.service.Complete()
			requireProblems(t, err, tc.want)
		})
	}
}

// requireProblems fails the test unless err names each of want, and is nil where there are none.
func requireProblems(t *testing.T, err error, want []string) {
	t.Helper()
	if len(want) == 0 && err != nil || len(want) > 0 && err == nil {
		t.Fatalf("error %v, want %q", err, want)
	}
	for _, text := range want {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("%q is not in %q", text, err)
		}
	}
}
