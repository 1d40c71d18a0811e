package main

import (
	"fmt"
	"testing"

	"github.com/millrace/millrace/cloudevents/kafkabinding"
)

func TestAnEventIsAsTheFiguresSay(t *testing.T) {
	t.Parallel()
	m, err := kafkabinding.Encode(newEvent(0), kafkabinding.Binary)
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Headers) != 9 || len(m.Value) < 130 || len(m.Value) > 150 {
		t.Errorf("%d headers and %d bytes of data, want 9 and about 140", len(m.Headers), len(m.Value))
	}
}

func TestTheIDsOfEachKeyCountUp(t *testing.T) {
	t.Parallel()
	next := map[int]int{}
	for n := range 3 * keys * burst {
		e := newEvent(n)
		key, sequence, ok := placeOf(e.ID())
		if !ok || sequence != next[key] || e.Subject() != fmt.Sprintf("order-%05d", key) {
			t.Fatalf("event %d is number %d of key %d and about %s, want number %d", n, sequence, key, e.Subject(), next[key])
		}
		if number(key, sequence) != n {
			t.Fatalf("event %d is found as %d", n, number(key, sequence))
		}
		next[key]++
	}
	if len(next) != keys {
		t.Errorf("%d keys, want %d", len(next), keys)
	}
	if _, _, ok := placeOf("foreign"); ok {
		t.Error("a foreign id has a place")
	}
}
