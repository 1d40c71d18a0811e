package consumergroup

import (
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/IBM/sarama"

	"github.com/millrace/millrace/runtime/frontier"
)

// part is a partition that is nobody's.
type part struct{ sarama.ConsumerGroupClaim }

func (part) Topic() string    { return "in" }
func (part) Partition() int32 { return 0 }

// commit takes a snapshot that has to be written.
func commit(t *testing.T, c *claim) snapshot {
	t.Helper()
	s, changed := c.snapshot(false)
	if !changed {
		t.Fatal("there is nothing to commit")
	}
	return s
}

// A commit that nobody answered once reached the coordinator after the one that was written in its place, and the group stood
// behind what was finished until something else was.
func TestACommitThatNobodyAnsweredMayComeLate(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		err   error
		again bool
	}{
		"no answer":           {fmt.Errorf("commit: %w", io.EOF), true},
		"the broker's answer": {fmt.Errorf("commit: %w", sarama.ErrNotCoordinatorForConsumer), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := &claim{partition: part{}, frontier: frontier.New(0), granted: make(chan struct{}, 1), goodbye: make(chan struct{})}
				s := commit(t, c)
				c.refused(&s, test.err)
				s = commit(t, c)
				c.written(&s)
				for range 5 {
					if _, again := c.snapshot(false); again != test.again {
						t.Fatalf("it is committed again: %t, want %t", again, test.again)
					}
					time.Sleep(time.Second)
				}
				time.Sleep(lateCommit)
				if _, again := c.snapshot(false); again {
					t.Error("it is committed again, though nothing can be on its way any more")
				}
			})
		})
	}
}
