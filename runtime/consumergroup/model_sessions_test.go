package consumergroup_test

import (
	"context"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// sessions end the membership of those who are silent for longer than their session. So does every coordinator; kfake, though,
// forgets the session of one whose connection has ended before its join is answered, and its partitions are nobody's for ever.
type sessions struct {
	timeout time.Duration

	mu sync.Mutex
	// heard is when each member was last heard, or first met here.
	heard map[string]time.Time
}

func newSessions(cluster *kfake.Cluster, timeout time.Duration) *sessions {
	s := &sessions{timeout: timeout, heard: map[string]time.Time{}}
	cluster.ControlKey(int16(kmsg.Heartbeat), func(r kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		s.mu.Lock()
		defer s.mu.Unlock()
		s.heard[r.(*kmsg.HeartbeatRequest).MemberID] = time.Now()
		return nil, nil, false
	})
	return s
}

// expire has those leave a group that were silent for twice their session while it was stable. What goes wrong is tried again.
func (s *sessions) expire(ctx context.Context, client *kgo.Client, group *kfake.GroupInfo) {
	if group == nil || group.State != "Stable" {
		return
	}
	request := kmsg.NewPtrLeaveGroupRequest()
	request.Group = group.Group
	for _, m := range group.Members {
		if s.silent(m.MemberID) {
			leaving := kmsg.NewLeaveGroupRequestMember()
			leaving.MemberID = m.MemberID
			request.Members = append(request.Members, leaving)
		}
	}
	if len(request.Members) > 0 {
		_, _ = request.RequestWith(ctx, client)
	}
}

func (s *sessions) silent(member string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, ok := s.heard[member]
	if !ok {
		s.heard[member] = time.Now()
	}
	return ok && time.Since(at) > 2*s.timeout
}
