package orderapi_test

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	orderapi "github.com/millrace/millrace/functions/order-api"
	"github.com/millrace/millrace/runtime/function"
)

// same is what a repeated request gets again: all but when, and which request it was.
func (a answer) same() map[string]string {
	same := map[string]string{"body": a.body, "status": http.StatusText(a.status)}
	for name, values := range a.header {
		if !slices.Contains([]string{"Date", "X-Request-Id", "X-Correlation-Id", "Idempotent-Replayed"}, name) {
			same[name] = strings.Join(values, ",")
		}
	}
	return same
}

func requireReplay(t *testing.T, first, again answer) {
	t.Helper()
	if diff := cmp.Diff(first.same(), again.same()); diff != "" || again.header.Get("Idempotent-Replayed") != "true" || first.header.Get("Idempotent-Replayed") != "" {
		t.Errorf("replayed %q, then %q:\n%s", first.header.Get("Idempotent-Replayed"), again.header.Get("Idempotent-Replayed"), diff)
	}
}

// A request that is repeated is done once, and gets the same answer, whatever happened to the order since and to the service.
func TestRepeatedRequests(t *testing.T) {
	t.Parallel()
	for name, on := range databases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := on(t)
			s := start(t, e)
			placed := s.ask(t, "POST", "/orders", byHand, "Idempotency-Key", `"1"`).must(t, 201)
			order := placed.header.Get("Location")
			steps := []struct{ path, body string }{{"/payment", paid}, {"/shipment", shipped}, {"/delivery", ""}}
			answers := []answer{placed}
			for _, step := range steps {
				answers = append(answers, s.ask(t, "POST", order+step.path, step.body, "Idempotency-Key", step.path).must(t, 200))
			}
			restarted := start(t, e)
			for range 2 {
				requireReplay(t, placed, restarted.ask(t, "POST", "/orders", byHand, "Idempotency-Key", "1"))
				for i, step := range steps {
					// The precondition of a change that was made is not asked again.
					again := restarted.ask(t, "POST", order+step.path, step.body, "Idempotency-Key", step.path, "If-Match", `"1"`)
					requireReplay(t, answers[i+1], again)
				}
			}
			if got := restarted.ask(t, "GET", order, "").view(t); got.Version != 4 {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestAKeyBelongsToOneRequest(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *shop) {
		first := s.ask(t, "POST", "/orders", byHand, "Idempotency-Key", "k").must(t, 201).view(t).OrderID
		second := s.place(t)
		pay := "/orders/" + first + "/payment"
		s.ask(t, "POST", pay, paid, "Idempotency-Key", "p").must(t, 200)
		for name, got := range map[string]answer{
			"another body":    s.ask(t, "POST", "/orders", basket, "Idempotency-Key", "k"),
			"another space":   s.ask(t, "POST", "/orders", byHand+" ", "Idempotency-Key", "k"),
			"another path":    s.ask(t, "POST", pay, paid, "Idempotency-Key", "k"),
			"another order":   s.ask(t, "POST", "/orders/"+second+"/payment", paid, "Idempotency-Key", "p"),
			"another command": s.ask(t, "POST", "/orders/"+first+"/cancellation", "", "Idempotency-Key", "p"),
		} {
			t.Run(name, func(t *testing.T) { requireProblem(t, got.must(t, 422), "key-reused", "another key") })
		}
		// The key of a request that failed is free: nothing was changed.
		s.ask(t, "POST", "/orders/"+second+"/shipment", shipped, "Idempotency-Key", "s").must(t, 409)
		s.ask(t, "POST", "/orders/"+second+"/payment", paid, "Idempotency-Key", "s").must(t, 200)
	})
}

// Of many who send the same request at the same moment, to two processes, one has it done, and the others get its answer or
// are told to ask again.
func TestOneKeyAtTheSameMoment(t *testing.T) {
	t.Parallel()
	for name, on := range databases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := on(t)
			shops := []*shop{start(t, e), start(t, e)}
			for round := range 20 {
				key := strings.Repeat("k", round+1)
				placed := atOnce(16, func(i int) answer { return shops[i%2].ask(t, "POST", "/orders", byHand, "Idempotency-Key", key) })
				path := requireOne(t, placed, http.StatusCreated).header.Get("Location") + "/payment"
				requireOne(t, atOnce(16, func(i int) answer {
					return shops[i%2].ask(t, "POST", path, paid, "Idempotency-Key", key+"p")
				}), http.StatusOK)
			}
			if got := len(history(t, e.open(t), "")); got != 40 {
				t.Errorf("%d facts are stored, want two of each of 20 orders", got)
			}
		})
	}
}

// atOnce calls ask n times at the same moment.
func atOnce(n int, ask func(i int) answer) []answer {
	got := make([]answer, n)
	var begin, ended sync.WaitGroup
	begin.Add(1)
	for i := range n {
		ended.Go(func() {
			begin.Wait()
			got[i] = ask(i)
		})
	}
	begin.Done()
	ended.Wait()
	return got
}

// requireOne checks that one request of several was done, and returns its answer.
func requireOne(t *testing.T, got []answer, status int) answer {
	t.Helper()
	done := slices.IndexFunc(got, func(a answer) bool { return a.status == status && a.header.Get("Idempotent-Replayed") == "" })
	if done < 0 {
		t.Fatalf("no request was done: %+v", got)
	}
	for i, a := range got {
		switch {
		case i == done:
		case a.status == http.StatusConflict:
			requireProblem(t, a, "key-in-use", "Repeat the request")
		default:
			requireReplay(t, got[done], a)
		}
	}
	return got[done]
}

// Answers are kept for the time that is set, and then forgotten.
func TestOldAnswersAreForgotten(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *shop) {
		const many = 2500 // more than are forgotten at once
		for i := range 3 {
			s.ask(t, "POST", "/orders", byHand, "Idempotency-Key", strings.Repeat("k", i+1)).must(t, 201)
		}
		orderapi.Age(t, s.handler, many, 49*time.Hour)
		sweep := slices.IndexFunc(s.chores(), func(c function.Chore) bool { return c.Name == "idempotency-keys" })
		if err := s.chores()[sweep].Run(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		if got := orderapi.Kept(t, s.handler); got != 3 {
			t.Errorf("%d answers are kept, want the 3 of today", got)
		}
		if got := s.ask(t, "POST", "/orders", byHand, "Idempotency-Key", "k"); got.header.Get("Idempotent-Replayed") != "true" {
			t.Errorf("got %+v", got)
		}
	})
}
