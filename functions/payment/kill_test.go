package payment

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/cloudevents/money"
	"github.com/millrace/millrace/runtime/function"
)

// childVariable has the test binary run the function until it is killed.
const childVariable = "MILLRACE_TEST_PAYMENT_CHILD"

const (
	killOrders  = 60
	killWorkers = 8
	kills       = 8
)

// orderOf returns the events of the n-th order: one of three is declined, another one is cancelled.
func orderOf(n int) []function.Payload {
	id := fmt.Sprintf("order-%d", n)
	switch n % 3 {
	case 0:
		return []function.Payload{created(id, "99.13")}
	case 1:
		return []function.Payload{created(id, "99.90"), cancelledOrder(id)}
	}
	return []function.Payload{created(id, "99.90")}
}

// child handles the events of all orders from the first on, as a consumer does whose offsets were never committed, several
// orders at a time, and writes a line for each event.
func child() {
	s, err := newService(os.LookupEnv, time.Now)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var working sync.WaitGroup
	orders := make(chan int)
	for range killWorkers {
		working.Go(func() {
			for n := range orders {
				work(s, n)
			}
		})
	}
	for n := range killOrders {
		orders <- n
	}
	close(orders)
	working.Wait()
}

func work(s *service, n int) {
	for i, p := range orderOf(n) {
		e, err := function.NewEvent(p)
		if err == nil {
			e.SetID(fmt.Sprintf("order-%d-event-%d", n, i))
			e.SetSource("/order-service")
			e.SetExtension(function.CorrelationID, "flow-1")
			err = insist(context.Background(), s, e)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println(n, i)
	}
}

// The process is killed again and again, and begins anew. Each order is charged once, refunded once if it was cancelled, and
// what was told is what happened.
func TestKilledProcesses(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts processes")
	}
	each(t, func(t *testing.T, s *shop) {
		for range kills {
			s.runChild(rand.IntN(40))
		}
		s.runChild(-1)
		story := s.told()
		for n := range killOrders {
			id := fmt.Sprintf("order-%d", n)
			want := map[int]string{0: "failed", 1: "processed refunded", 2: "processed"}[n%3]
			var got []string
			for _, e := range story[id] {
				got = append(got, strings.Split(e.Type(), ".")[3])
			}
			a := s.account(id)
			if strings.Join(got, " ") != want || a.Charges+a.Declined != 1 || a.Refunds != len(got)-1 || n%3 == 1 && !a.Refunded.Equal(money.MustParse("99.90")) {
				t.Errorf("%s: told %v, want %s; account %+v", id, got, want, a)
			}
		}
	})
}

// runChild runs a process that handles the orders, and kills it after it wrote so many lines and a moment; with -1 it is
// left to its end.
func (s *shop) runChild(lines int) {
	s.Helper()
	command := exec.CommandContext(s.Context(), os.Args[0])
	command.Env = append(os.Environ(), childVariable+"=1")
	for name, value := range s.environment {
		command.Env = append(command.Env, name+"="+value)
	}
	var failed strings.Builder
	command.Stderr = &failed
	output, err := command.StdoutPipe()
	if err == nil {
		err = command.Start()
	}
	if err != nil {
		s.Fatal(err)
	}
	written := bufio.NewScanner(output)
	if lines >= 0 {
		for range lines + 1 {
			written.Scan()
		}
		time.Sleep(rand.N(5 * time.Millisecond)) // somewhere within what it does next
		_ = command.Process.Kill()
	}
	if _, err := io.Copy(io.Discard, output); err != nil {
		s.Error(err)
	}
	if err := command.Wait(); lines < 0 && err != nil || failed.Len() > 0 {
		s.Fatalf("%v: %s", err, failed.String())
	}
}
