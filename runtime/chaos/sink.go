package chaos

import (
	"context"

	"github.com/millrace/millrace/runtime/pipeline"
)

// sender is a function that is a Sink.
type sender func(ctx context.Context, outputs ...pipeline.Output) error

// Send implements [pipeline.Sink].
func (s sender) Send(ctx context.Context, outputs ...pipeline.Output) error {
	return s(ctx, outputs...)
}

// FailSend returns a Sink that fails with err in place of publishing by next.
func FailSend(next pipeline.Sink, when When, err error) pipeline.Sink {
	return aroundSend(next, when, func(context.Context, []pipeline.Output) error { return err })
}

// LoseAnswer returns a Sink that publishes by next and then says that it failed with err: who publishes again publishes
// twice. What next itself fails with is kept.
func LoseAnswer(next pipeline.Sink, when When, err error) pipeline.Sink {
	return aroundSend(next, when, func(ctx context.Context, outputs []pipeline.Output) error {
		if own := next.Send(ctx, outputs...); own != nil {
			return own
		}
		return err
	})
}

// SendPart returns a Sink that publishes the first half of the outputs, rounded down, by next and then fails with err.
func SendPart(next pipeline.Sink, when When, err error) pipeline.Sink {
	return aroundSend(next, when, func(ctx context.Context, outputs []pipeline.Output) error {
		if half := outputs[:len(outputs)/2]; len(half) > 0 {
			if own := next.Send(ctx, half...); own != nil {
				return own
			}
		}
		return err
	})
}

// CrashSend returns a Sink that ends the process, as [Kill] does, at a point of publishing.
func CrashSend(next pipeline.Sink, when When, at Point) pipeline.Sink {
	return aroundSend(next, when, func(ctx context.Context, outputs []pipeline.Output) error {
		if at == Before {
			Kill()
		}
		err := next.Send(ctx, outputs...)
		if at == After {
			Kill()
		}
		return err
	})
}

// aroundSend returns a Sink that publishes by next, and struck calls by way of fault.
func aroundSend(next pipeline.Sink, when When, fault func(context.Context, []pipeline.Output) error) pipeline.Sink {
	c := &counter{}
	return sender(func(ctx context.Context, outputs ...pipeline.Output) error {
		if !c.struck(when) {
			return next.Send(ctx, outputs...)
		}
		return fault(ctx, outputs)
	})
}
