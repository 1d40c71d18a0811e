package kafkabinding_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/millrace/millrace/cloudevents/cloudeventstest"
	"github.com/millrace/millrace/cloudevents/kafkabinding"
)

func TestDecodeAliasesData(t *testing.T) {
	t.Parallel()
	for _, mode := range modes {
		m, err := kafkabinding.Encode(orderCreated(t), mode)
		if err != nil {
			t.Fatal(err)
		}
		e, err := kafkabinding.Decode(m)
		if err != nil {
			t.Fatal(err)
		}
		for i := range m.Value {
			m.Value[i] = 'X'
		}
		for _, h := range m.Headers {
			copy(h.Key, "XXXXXXXXXXXXXXXX")
			copy(h.Value, "XXXXXXXXXXXXXXXX")
		}
		if got := string(e.Data()); strings.Trim(got, "X") != "" {
			t.Errorf("%s: data is a copy: %s", mode, got)
		}
		want := orderCreated(t)
		want.DataEncoded = e.DataEncoded
		cloudeventstest.Equal(t, want, e)
	}
}

// TestEventsShareNothing: what a user changes in one event does not show in another, before or after.
func TestEventsShareNothing(t *testing.T) {
	t.Parallel()
	want := orderCreated(t)
	want.SetDataSchema("urn:schema:1")
	for _, mode := range modes {
		m, err := kafkabinding.Encode(want, mode)
		if err != nil {
			t.Fatal(err)
		}
		first, err := kafkabinding.Decode(m)
		if err != nil {
			t.Fatal(err)
		}
		second, err := kafkabinding.Decode(m)
		if err != nil {
			t.Fatal(err)
		}
		ec := first.Context.(*event.EventContextV1)
		*ec.DataContentType, *ec.Subject = "changed", "changed"
		ec.Time.Time = ec.Time.AddDate(1, 0, 0)
		ec.DataSchema.Scheme, ec.Source.Path = "changed", "changed"
		ec.Extensions["correlationid"] = "changed"
		third, err := kafkabinding.Decode(m)
		if err != nil {
			t.Fatal(err)
		}
		cloudeventstest.Equal(t, want, second)
		cloudeventstest.Equal(t, want, third)
	}
}

func TestErrorsHoldNoData(t *testing.T) {
	t.Parallel()
	const secret = "secret"
	for _, c := range cloudeventstest.BindingCases() {
		if c.Fault == nil {
			continue
		}
		c.Message.Value = []byte(strings.ReplaceAll(string(c.Message.Value), "Hello World!", secret))
		if _, err := kafkabinding.Decode(c.Message); err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %v", c.Name, err)
		}
	}
	for _, value := range []string{
		`{"data":{"secret":"secret}}`, `{"data":secret}`, `{"data":{"secret":1,}}`, `{"data":"secret","data":"secret"}`,
		`{"data_base64":"secret?"}`, `{"id":{"secret":"secret"}}`, `"secret"`, `secret`,
	} {
		m := kafkabinding.Message{
			Headers: cloudeventstest.Headers("content-type", "application/cloudevents+json"), Value: []byte(value),
		}
		if _, err := kafkabinding.Decode(m); err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %v", value, err)
		}
	}
}

// TestErrorsAreBounded: names that a sender chose do not flood a log.
func TestErrorsAreBounded(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x_", 10_000)
	structured := cloudeventstest.Headers("content-type", "application/cloudevents+json")
	complete := []string{"ce_specversion", "1.0", "ce_id", "1", "ce_source", "/s", "ce_type", "t"}
	for _, m := range []kafkabinding.Message{
		{Headers: cloudeventstest.Headers(append(complete, "ce_"+long, "x")...)},
		{Headers: cloudeventstest.Headers("ce_specversion", long, "ce_id", "1", "ce_source", "/s", "ce_type", "t")},
		{Headers: cloudeventstest.Headers("content-type", "application/cloudevents+"+long)},
		{Headers: structured, Value: []byte(`{"` + long + `":1}`)},
	} {
		_, err := kafkabinding.Decode(m)
		var defect *kafkabinding.DecodeError
		if !errors.As(err, &defect) || len(err.Error()) > 300 {
			t.Errorf("error of %d bytes: %.100s", len(err.Error()), err)
		}
	}
}

func TestDecodeErrorText(t *testing.T) {
	t.Parallel()
	for want, m := range map[string]kafkabinding.Message{
		`CloudEvent: header "ce_id" is missing`: {Headers: cloudeventstest.Headers("ce_specversion", "1.0")},
		`CloudEvent: header "ce_specversion" is "0.3", only 1.0 is supported`: {Headers: cloudeventstest.Headers(
			"ce_specversion", "0.3", "ce_id", "1", "ce_source", "/s", "ce_type", "t")},
		`CloudEvent: attribute "id" is not a string`: {
			Headers: cloudeventstest.Headers("content-type", "application/cloudevents+json"), Value: []byte(`{"id":1}`)},
		`CloudEvent: value is not valid JSON (near byte 6)`: {
			Headers: cloudeventstest.Headers("content-type", "application/cloudevents+json"), Value: []byte(`{"a":1`)},
	} {
		if _, err := kafkabinding.Decode(m); err == nil || err.Error() != want {
			t.Errorf("error is %q, want %q", err, want)
		}
	}
}

// TestDecodeManyHeaders: the cost of a message with very many attributes stays in proportion.
func TestDecodeManyHeaders(t *testing.T) {
	t.Parallel()
	m := cloudeventstest.Record(t, orderCreated(t))
	const n = 20_000
	for i := range n {
		m.Headers = append(m.Headers, cloudeventstest.Headers(fmt.Sprintf("ce_x%d", i), "v")...)
	}
	e, err := kafkabinding.Decode(m)
	if err != nil {
		t.Fatal(err)
	}
	if got := len(e.Extensions()); got != n+2 {
		t.Errorf("%d extensions, want %d", got, n+2)
	}
}

// TestConcurrentUse needs the race detector to fail. It uses more sources and types than the caches hold.
func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for i := range 2_000 {
				want := orderCreated(t)
				want.SetSource(fmt.Sprintf("/source/%d", (i+worker)%1_500))
				want.SetType(fmt.Sprintf("type.%d", i%1_500))
				want.SetExtension(fmt.Sprintf("x%d", i%1_500), "x")
				mode := modes[i%len(modes)]
				m, err := kafkabinding.Encode(want, mode)
				if err != nil {
					t.Error(err)
					return
				}
				got, err := kafkabinding.Decode(m)
				if err != nil {
					t.Error(err)
					return
				}
				if got.Source() != want.Source() || got.Type() != want.Type() || len(got.Extensions()) != 3 {
					t.Errorf("%s: want %s, got %s", mode, want, got)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestAllocations(t *testing.T) { //nolint:paralleltest // what else allocates would be counted
	binary := cloudeventstest.Record(t, orderCreated(t))
	if len(binary.Headers) != 9 {
		t.Fatalf("%d headers, want 9", len(binary.Headers))
	}
	structured, err := kafkabinding.Encode(orderCreated(t), kafkabinding.Structured)
	if err != nil {
		t.Fatal(err)
	}
	e := orderCreated(t)
	for _, c := range []struct {
		name string
		most float64
		run  func() error
	}{
		{"decode binary", 8, func() error { _, err := kafkabinding.Decode(binary); return err }},
		{"decode structured", 8, func() error { _, err := kafkabinding.Decode(structured); return err }},
		{"encode binary", 4, func() error { _, err := kafkabinding.Encode(e, kafkabinding.Binary); return err }},
		{"encode structured", 4, func() error { _, err := kafkabinding.Encode(e, kafkabinding.Structured); return err }},
	} {
		got := testing.AllocsPerRun(200, func() {
			if err := c.run(); err != nil {
				t.Fatal(err)
			}
		})
		if got > c.most {
			t.Errorf("%s: %.0f allocations, want at most %.0f", c.name, got, c.most)
		}
	}
}
