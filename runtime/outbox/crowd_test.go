package outbox_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/cloudevents/sdk-go/v2/event"
)

// Events behind more events of one key than a page holds do not wait for these.
func TestAKeyWithManyEventsKeepsNobodyUp(t *testing.T) {
	t.Parallel()
	each(t, nil, func(t *testing.T, s stage) {
		const crowd, others = 2000, 40
		ids := make([]string, crowd)
		for i := range ids {
			ids[i] = fmt.Sprint(i)
		}
		s.put(t, "crowd", ids[:crowd/2]...)
		s.put(t, "crowd", ids[crowd/2:]...)
		for k := range others {
			s.put(t, fmt.Sprintf("order-%d", k), "1", "2")
		}
		b := &broker{}
		published := s.relayTo(t, func(ctx context.Context, topic string, events ...event.Event) []error {
			if b.calls == 0 && len(events) != 1+others {
				t.Errorf("%d events were published first, want those of %d keys", len(events), 1+others)
			}
			return b.publish(ctx, topic, events...)
		})
		if published != crowd+2*others || b.ids("crowd") != strings.Join(ids, " ") {
			t.Errorf("published %d, of the crowd %s", published, b.ids("crowd"))
		}
		for k := range others {
			if got := b.ids(fmt.Sprintf("order-%d", k)); got != "1 2" {
				t.Errorf("order-%d: %s", k, got)
			}
		}
		s.wantWaiting(t, 0, 0)
	})
}
