package main

import (
	"bytes"
	"io/fs"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/cloudevents/notification"
	"github.com/millrace/millrace/runtime/function"
)

func openRoot(t *testing.T) *os.Root {
	t.Helper()
	root, err := os.OpenRoot("../../..")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return root
}

func TestFilesAreUpToDate(t *testing.T) {
	t.Parallel()
	root := openRoot(t)
	files, err := render(root)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		got, err := root.ReadFile(name)
		if err != nil {
			t.Errorf("%v: run make generate", err)
		} else if !bytes.Equal(got, want) {
			t.Errorf("%s is not what the Specs, infra/topics.yaml and the templates beside this test say: run make generate", name)
		}
	}
}

// An event that belongs to no function would be left behind when a function is renamed.
func TestEveryEventHasAFunction(t *testing.T) {
	t.Parallel()
	root := openRoot(t)
	files, err := render(root)
	if err != nil {
		t.Fatal(err)
	}
	events, err := fs.Glob(root.FS(), "functions/*/testdata/msk.json")
	if err != nil || len(events) == 0 {
		t.Fatalf("%d events, %v", len(events), err)
	}
	for _, name := range events {
		if files[name] == nil {
			t.Errorf("%s belongs to no function of the catalogue: delete it", name)
		}
	}
}

func spec() function.Spec {
	return function.Spec{
		Name:  "order-read",
		Topic: "orders",
		New:   func(function.Lookup) (function.Handler, error) { return nil, nil },
	}
}

func TestNewFunction(t *testing.T) {
	t.Parallel()
	s := spec().InGroup("shared")
	s.Emits = []string{"test.out.v1", notification.RequestedType, notification.SentType}
	s.Topics = map[string]string{"test.out.v1": "answers"}
	f, err := newFunction(s)
	if err != nil {
		t.Fatal(err)
	}
	if f.ID() != "OrderReadFunction" || f.Group != "order-read" {
		t.Errorf("%s in group %s", f.ID(), f.Group)
	}
	if want := []string{"answers", deadLetters, notification.Topic}; !slices.Equal(f.Outputs, want) {
		t.Errorf("publishes to %v, want %v", f.Outputs, want)
	}
}

func TestInvocationTimeout(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		attempts int
		timeout  time.Duration
		want     time.Duration
	}{
		{1, time.Second, 30 * time.Second},
		{5, 30 * time.Second, 3 * time.Minute}, // 150 s, 3 s of pauses and 15 s
		{2, 22400 * time.Millisecond, time.Minute},
		{2, 22401 * time.Millisecond, 90 * time.Second},
		{100, time.Millisecond, 0},
		{5, 3 * time.Minute, 0},
	} {
		s := spec()
		s.Attempts, s.Timeout = test.attempts, test.timeout
		f, err := newFunction(s)
		switch {
		case test.want == 0:
			if err == nil || !strings.Contains(err.Error(), "lower Attempts or Timeout") {
				t.Errorf("%d attempts of %s: %d s, %v", test.attempts, test.timeout, f.Timeout, err)
			}
		case err != nil || time.Duration(f.Timeout)*time.Second != test.want:
			t.Errorf("%d attempts of %s: %d s, %v; want %s", test.attempts, test.timeout, f.Timeout, err, test.want)
		}
	}
}

func TestFunctionsThatHaveNoPlace(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*function.Spec){
		"has no topic":      func(s *function.Spec) { s.Emits = []string{"test.out.v1"} },
		"Topic is empty":    func(s *function.Spec) { s.Topic = "" },
		"Name must be":      func(s *function.Spec) { s.Name = "Order" },
		"up to 1h0m15.2s":   func(s *function.Spec) { s.Attempts, s.Timeout = 2, 30*time.Minute },
		"function order-re": func(s *function.Spec) { s.Attempts, s.Timeout = 2, 30*time.Minute },
	} {
		s := spec()
		change(&s)
		if _, err := newFunction(s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want an error with %q", err, want)
		}
	}
}

func TestTopicID(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"order-events": "OrderEventsTopic", "a.b_c": "ABCTopic", "v2": "V2Topic",
	} {
		if got := topicID(name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

func TestNewService(t *testing.T) {
	t.Parallel()
	s := function.Service{Name: "order-read-api", New: func(function.Lookup) (http.Handler, error) { return nil, nil }}
	f, err := newService(s)
	if err != nil {
		t.Fatal(err)
	}
	if !f.IsService() || f.ID() != "OrderReadApiFunction" || len(f.Outputs) != 0 || f.Database != nil {
		t.Errorf("got %+v", f)
	}
	s.Emits = []string{notification.RequestedType, notification.SentType}
	if f, err = newService(s); err != nil || !slices.Equal(f.Outputs, []string{notification.Topic}) {
		t.Errorf("publishes to %v, %v", f.Outputs, err)
	}
	for want, change := range map[string]func(*function.Service){
		"service order-read-api emits type test.out.v1, which has no topic": func(s *function.Service) { s.Emits = []string{"test.out.v1"} },
		"Name must be": func(s *function.Service) { s.Name = "Order" },
	} {
		broken := s
		change(&broken)
		if _, err := newService(broken); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want an error with %q", err, want)
		}
	}
}

func TestDatabasesOf(t *testing.T) {
	t.Parallel()
	shared := lambdaFunction{Database: &lambdaDatabase{"orders"}}
	got := databasesOf([]lambdaFunction{{}, shared, {Database: &lambdaDatabase{"order-archive"}}, shared})
	if want := []lambdaDatabase{{"order-archive"}, {"orders"}}; !slices.Equal(got, want) || got[0].Title() != "OrderArchive" {
		t.Errorf("got %v, want %v", got, want)
	}
}
