package consumergroup_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/runtime/breaker"
	"github.com/millrace/millrace/runtime/consumergroup"
	"github.com/millrace/millrace/runtime/deadletter"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/kafkaclient"
	"github.com/millrace/millrace/runtime/kafkasink"
	"github.com/millrace/millrace/runtime/middleware"
	"github.com/millrace/millrace/runtime/pipeline"
)

const (
	inTopic, outTopic, letterTopic = "in", "out", "letters"
	modelGroup                     = "group"
	modelBrokers                   = 3
	rebalanceTimeout               = 15 * time.Second
)

// world is the cluster and the members of one history.
type world struct {
	*history

	network kfake.VirtualNetwork
	cluster *kfake.Cluster
	client  *kgo.Client
	journal *journal
	// sessions are those that the coordinator forgets.
	sessions *sessions

	slots [slots]*life
	lives []*life
	held  []*kgo.Record
}

func newWorld(h *history) (*world, error) {
	w := &world{history: h}
	ports := make([]int, modelBrokers)
	for i := range ports {
		ports[i] = 9092 + i
	}
	var err error
	w.cluster, err = kfake.NewCluster(kfake.NumBrokers(modelBrokers), kfake.Ports(ports...), kfake.ListenFn(w.network.Listen),
		kfake.SeedTopics(h.settings.Partitions, inTopic), kfake.SeedTopics(2, outTopic), kfake.SeedTopics(1, letterTopic))
	if err != nil {
		return nil, err
	}
	w.client, err = kgo.NewClient(kgo.SeedBrokers(w.cluster.ListenAddrs()...), kgo.Dialer(w.network.DialContext),
		kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		return nil, err
	}
	w.journal = newJournal(h)
	w.sessions = newSessions(w.cluster, h.settings.Session)
	for _, key := range []kmsg.Key{kmsg.OffsetCommit, kmsg.TxnOffsetCommit} {
		w.cluster.ControlKey(int16(key), func(r kmsg.Request) (kmsg.Response, error, bool) {
			w.cluster.KeepControl()
			w.journal.commit(r)
			return nil, nil, false
		})
	}
	return w, nil
}

func (w *world) close() {
	for _, l := range w.lives {
		l.crash()
	}
	for _, l := range w.lives {
		<-l.ended
	}
	// Timers of the last crashes use the client.
	time.Sleep(w.settings.Session + time.Second)
	w.client.Close()
	w.cluster.Close()
}

// play lets the history happen, and has a healthy member finish the work.
func (w *world) play(ctx context.Context) error {
	if err := w.produce(ctx); err != nil {
		return err
	}
	w.start(0)
	for i := range w.actions {
		a := &w.actions[i]
		time.Sleep(a.after)
		w.journal.notef("--- %s", a)
		if err := w.act(ctx, a); err != nil {
			return fmt.Errorf("%s: %w", a, err)
		}
	}
	w.journal.notef("--- the end begins")
	if err := w.release(ctx); err != nil {
		return err
	}
	for slot := range slots {
		if l := w.slots[slot]; l != nil {
			l.recover()
		}
	}
	w.start(0)
	w.awaitEnd(ctx)
	w.journal.notef("--- all stop")
	w.stopAll()
	return w.read(ctx)
}

// produce writes the records; those that come late are held.
func (w *world) produce(ctx context.Context) error {
	var now []*kgo.Record
	for i := range w.records {
		r := record(strconv.Itoa(i), w.records[i].key)
		r.Topic, r.Partition = inTopic, w.records[i].partition
		if w.records[i].late {
			w.held = append(w.held, r)
		} else {
			now = append(now, r)
		}
	}
	return w.write(ctx, now)
}

func (w *world) release(ctx context.Context) error {
	held := w.held
	w.held = nil
	return w.write(ctx, held)
}

func (w *world) write(ctx context.Context, records []*kgo.Record) error {
	if len(records) == 0 {
		return nil
	}
	for _, r := range records {
		i, err := strconv.Atoi(string(r.Headers[1].Value))
		if err != nil {
			return err
		}
		w.journal.place(i, r.Partition)
	}
	return w.client.ProduceSync(ctx, records...).FirstErr()
}

func (w *world) act(ctx context.Context, a *action) error {
	l := w.slots[a.slot]
	switch a.what {
	case starts:
		w.start(a.slot)
	case produces:
		return w.release(ctx)
	case faults:
		w.journal.disturbed()
		w.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{a.fault.key}, Err: a.fault.err, Count: a.count, When: byMember})
	case moves:
		w.journal.disturbed()
		w.cluster.RehashCoordinators()
	case leaders:
		w.cluster.ShufflePartitionLeaders()
	case resets:
		return w.reset(ctx, a.to)
	}
	if l == nil {
		return nil
	}
	switch a.what {
	case stops:
		w.slots[a.slot] = nil
		l.stop()
	case crashes:
		w.slots[a.slot] = nil
		w.journal.disturbed()
		l.crash()
	case silences:
		w.journal.disturbed()
		l.disturb(a.lasts, l.wire.silence, l.wire.speak)
	case cuts:
		w.journal.disturbed()
		l.disturb(a.lasts, l.wire.cut, l.wire.mend)
	case traps:
		w.journal.disturbed()
		l.wire.set(a.trap)
	}
	return nil
}

// byMember tells whether a request is not an operator's commit.
func byMember(r kmsg.Request) bool {
	commit, ok := r.(*kmsg.OffsetCommitRequest)
	return !ok || commit.Generation >= 0
}

// reset moves the group's offsets as an operator does: while nobody is a member.
func (w *world) reset(ctx context.Context, percent int) error {
	w.stopAll()
	time.Sleep(w.settings.Session + time.Minute)
	w.journal.reset()
	before := w.cluster.GroupInfo(modelGroup)
	var to map[int32]int64
	if percent <= 100 {
		to = w.journal.share(percent)
	}
	if err := w.commit(ctx, to); err != nil {
		return err
	}
	w.journal.begin(before, to)
	w.start(0)
	return nil
}

// commit writes offsets as nobody's member; nil deletes them all.
func (w *world) commit(ctx context.Context, to map[int32]int64) error {
	if to == nil {
		topic := kmsg.NewOffsetDeleteRequestTopic()
		topic.Topic = inTopic
		for p := range w.settings.Partitions {
			topic.Partitions = append(topic.Partitions, kmsg.OffsetDeleteRequestTopicPartition{Partition: p})
		}
		request := kmsg.NewPtrOffsetDeleteRequest()
		request.Group, request.Topics = modelGroup, append(request.Topics, topic)
		_, err := request.RequestWith(ctx, w.client)
		return err
	}
	topic := kmsg.NewOffsetCommitRequestTopic()
	topic.Topic, topic.TopicID = inTopic, w.cluster.TopicInfo(inTopic).TopicID
	for p, offset := range to {
		partition := kmsg.NewOffsetCommitRequestTopicPartition()
		partition.Partition, partition.Offset = p, offset
		topic.Partitions = append(topic.Partitions, partition)
	}
	request := kmsg.NewPtrOffsetCommitRequest()
	request.Group, request.Generation, request.Topics = modelGroup, -1, append(request.Topics, topic)
	response, err := request.RequestWith(ctx, w.client)
	if err == nil && response.Topics[0].Partitions[0].ErrorCode != 0 {
		err = fmt.Errorf("the operator's commit was refused: code %d", response.Topics[0].Partitions[0].ErrorCode)
	}
	return err
}

// awaitEnd waits until everything is committed.
func (w *world) awaitEnd(ctx context.Context) {
	limit := 10 * time.Minute
	for i := range w.records {
		d := &w.records[i]
		limit += time.Duration(w.settings.Attempts) * (d.takes + 2*w.settings.Backoff)
	}
	began := time.Now()
	for ; ; time.Sleep(time.Second) {
		group := w.cluster.GroupInfo(modelGroup)
		missing := w.journal.missing(group)
		if missing == "" {
			return
		}
		w.sessions.expire(ctx, w.client, group)
		if time.Since(began) > limit {
			w.journal.violatef("end", "after %s there is no end: %s", limit, missing)
			w.noteGroup()
			return
		}
	}
}

// noteGroup notes what the coordinator knows.
func (w *world) noteGroup() {
	info := w.cluster.GroupInfo(modelGroup)
	if info == nil {
		return
	}
	for _, m := range info.Members {
		w.journal.notef("%s: member %s %v", info.State, m.MemberID, m.Assignment)
	}
}

func (w *world) stopAll() {
	for slot, l := range w.slots {
		if l != nil {
			l.recover()
			l.stop()
			w.slots[slot] = nil
		}
	}
	for _, l := range w.lives {
		<-l.ended
	}
}

// read checks what the topics hold, as a reader with read_committed sees it.
func (w *world) read(ctx context.Context) error {
	seen := map[string]map[int]int{outTopic: {}, letterTopic: {}}
	for topic, counts := range seen {
		reader, err := kgo.NewClient(kgo.SeedBrokers(w.cluster.ListenAddrs()...), kgo.Dialer(w.network.DialContext),
			kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
		if err != nil {
			return err
		}
		for {
			// Nothing writes any more: what does not come soon will not come.
			ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
			fetches := reader.PollFetches(ctx)
			cancel()
			if fetches.NumRecords() == 0 {
				break
			}
			for r := range fetches.RecordsAll() {
				counts[causeOf(r, topic)]++
			}
		}
		reader.Close()
	}
	w.journal.finish(seen[outTopic], seen[letterTopic])
	return nil
}

// causeOf returns the number of the record that led to r.
func causeOf(r *kgo.Record, topic string) int {
	name := "ce_causationid"
	if topic == letterTopic {
		name = "ce_id"
	}
	for _, h := range r.Headers {
		if h.Key == name {
			if i, err := strconv.Atoi(string(h.Value)); err == nil {
				return i
			}
		}
	}
	return -1
}

// start has a process take a slot that is free.
func (w *world) start(slot int) {
	if w.slots[slot] != nil {
		return
	}
	for _, l := range w.lives {
		// A lasting name is for one process at a time.
		if w.settings.Static && l.slot == slot {
			l.replaced.Store(true)
			if !l.gone() {
				<-l.ended
			}
		}
	}
	l := &life{world: w, slot: slot, number: len(w.lives), wire: newWire(w.network.DialContext), crashed: make(chan struct{}), ended: make(chan struct{})}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	w.slots[slot] = l
	w.lives = append(w.lives, l)
	go l.run()
}

// life is a process, from its start to its end.
type life struct {
	*world

	slot, number int
	wire         *wire
	ctx          context.Context
	cancel       context.CancelFunc
	// crashed is closed when the process is gone; what it does from then on counts as not done.
	crashed chan struct{}
	once    sync.Once
	ended   chan struct{}
	// replaced says that another process has taken over its lasting name.
	replaced atomic.Bool

	mu     sync.Mutex
	joined bool
	// troubled is until when the connections are disturbed.
	troubled time.Time
	heal     *time.Timer
	mended   func()
}

func (l *life) String() string { return fmt.Sprintf("life %d of slot %d", l.number, l.slot) }

func (l *life) gone() bool {
	select {
	case <-l.crashed:
		return true
	default:
		return false
	}
}

// stop asks the process to end, as SIGTERM does.
func (l *life) stop() {
	l.cancel()
	if l.inTrouble() {
		return
	}
	limit := l.settings.Drain + 10*time.Second
	if !l.alone() {
		// A join waits for members that are gone, and cannot be given up.
		limit += l.settings.Session + rebalanceTimeout
	}
	time.AfterFunc(limit, func() {
		select {
		case <-l.ended:
		default:
			if !l.gone() {
				l.journal.violatef("leave", "%s did not end within %s", l, limit)
			}
		}
	})
}

// alone tells whether this is the first process.
func (l *life) alone() bool { return len(l.lives) == 1 }

// crash ends the process: it has no connections any more, and what its goroutines still do is nobody's.
func (l *life) crash() {
	l.leave()
	l.wire.cut()
	l.wire.speak()
	l.cancel()
	time.AfterFunc(l.settings.Session, l.expire)
}

// leave ends what the process's goroutines count for.
func (l *life) leave() {
	l.once.Do(func() {
		l.journal.crash(l)
		close(l.crashed)
	})
}

// expire has the group forget the process. kfake itself never forgets a member that is gone before its join is answered.
func (l *life) expire() {
	if l.replaced.Load() {
		return
	}
	request := kmsg.NewPtrLeaveGroupRequest()
	request.Group, request.MemberID = modelGroup, l.wire.memberID()
	member := kmsg.NewLeaveGroupRequestMember()
	member.MemberID = request.MemberID
	if l.settings.Static {
		member.InstanceID = new(l.config().InstanceID)
	}
	request.Members = append(request.Members, member)
	_, _ = request.RequestWith(context.Background(), l.client)
}

// disturb begins something that ends after a while.
func (l *life) disturb(lasts time.Duration, begin, end func()) {
	l.recover()
	begin()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.troubled = time.Now().Add(lasts)
	l.mended = func() {
		if !l.gone() {
			end()
		}
	}
	l.heal = time.AfterFunc(lasts, l.mended)
}

// recover ends what disturbs the process now.
func (l *life) recover() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.heal != nil && l.heal.Stop() {
		l.mended()
		l.troubled = time.Now()
	}
}

func (l *life) inTrouble() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.troubled.IsZero() && time.Since(l.troubled) < time.Minute
}

// run runs the member. A process that cannot start is started again.
func (l *life) run() {
	defer close(l.ended)
	defer l.leave()
	for l.ctx.Err() == nil {
		err := l.member()
		l.journal.notef("%s ended: %v", l, err)
		l.mu.Lock()
		if err != nil && l.joined && !l.gone() {
			l.journal.violatef("leave", "%s ended with %v", l, err)
		}
		l.mu.Unlock()
		select {
		case <-l.ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

func (l *life) member() error {
	kafka := kafkaclient.Config{Brokers: l.cluster.ListenAddrs(), Dial: l.wire.Dial}
	config := l.config()
	var (
		stage    *consumergroup.Stage
		sink     pipeline.Sink
		producer deadletter.Producer
	)
	if l.settings.ExactlyOnce {
		id := fmt.Sprintf("group-%d", l.number)
		if l.settings.Static {
			id = fmt.Sprintf("group-slot-%d", l.slot)
		}
		transactor, err := kafkasink.OpenTransactor(kafka, "model", id, &kafkasink.Options{TransactionTimeout: 15 * time.Second})
		if err != nil {
			return err
		}
		defer transactor.Close()
		stage = consumergroup.NewStage(transactor)
		sink, producer = stage, stage
	} else {
		s, err := kafkasink.Open(kafka, "model", nil)
		if err != nil {
			return err
		}
		defer s.Close()
		sink, producer = s, s
	}
	letters := deadletter.NewWriter(producer, deadletter.Service{Name: "model"}, &deadletter.Options{Topic: letterTopic})
	p, err := pipeline.New(modelGroup, []pipeline.Function{{
		Spec: function.Spec{Name: "model", Topic: inTopic, Order: l.settings.Order, Attempts: l.settings.Attempts, Timeout: time.Minute,
			Emits: []string{copied}, Topics: map[string]string{copied: outTopic},
			New: func(function.Lookup) (function.Handler, error) { return nil, errors.New("not called") }},
		Handler: function.Raw(l.handle, eventType),
	}}, &witness{l, sink, letters}, &witness{l, sink, letters}, &pipeline.Options{Middleware: l.middleware(), Transactional: stage != nil})
	if err != nil {
		return err
	}
	return consumergroup.Run(l.ctx, kafka, config, p, &consumergroup.Options{Log: slog.New(l), Monitor: l, Stage: stage})
}

func (l *life) middleware() func(function.Spec) []pipeline.Middleware {
	backoff := pipeline.Backoff{First: l.settings.Backoff, Max: 2 * l.settings.Backoff}
	if !l.settings.Circuits {
		return middleware.Standard(backoff)
	}
	return middleware.WithCircuits(breaker.NewSet(&breaker.Options{RecoveryTimeout: 5 * time.Second, Log: slog.New(l)}), backoff)
}

func (l *life) config() consumergroup.Config {
	s := &l.settings
	c := consumergroup.Config{
		Workers: s.Workers, WindowRecords: s.Window, WindowBytes: 1 << 20, DrainTimeout: s.Drain, CommitInterval: s.Interval,
		SessionTimeout: s.Session, Heartbeat: s.Session / 4, Rebalance: rebalanceTimeout, Strategy: "cooperative",
		ExactlyOnce: s.ExactlyOnce, Linger: 20 * time.Millisecond, TransactionRecords: 20, Start: "oldest",
	}
	if s.Eager {
		c.Strategy = "eager"
	}
	if s.Static {
		c.InstanceID = fmt.Sprintf("slot-%d", l.slot)
	}
	return c
}

// handle is the function: it does what the record's deed says.
func (l *life) handle(ctx context.Context, e event.Event) ([]event.Event, error) {
	if l.gone() {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	i, err := strconv.Atoi(e.ID())
	if err != nil {
		return nil, err
	}
	d := &l.records[i]
	a := l.journal.start(ctx, l, i, l.cluster.GroupInfo(modelGroup))
	if err := l.take(ctx, d); err != nil {
		l.journal.end(a, interrupted)
		return nil, err
	}
	if l.gone() {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if l.journal.age() < d.down {
		l.journal.end(a, unavailable)
		return nil, function.Unavailable("dependency", errors.New("down"))
	}
	return l.judge(a, d)
}

// take lets the time of a call pass.
func (l *life) take(ctx context.Context, d *deed) error {
	heeded := ctx.Done()
	if !d.heeds {
		heeded = nil
	}
	select {
	case <-time.After(d.takes):
		return nil
	case <-heeded:
		return ctx.Err()
	case <-l.crashed:
		return nil
	}
}

func (l *life) judge(a *attempt, d *deed) ([]event.Event, error) {
	if l.journal.failures(a.record) < d.fails || d.kind == permanent {
		l.journal.end(a, failed)
		switch d.kind {
		case permanent:
			return nil, function.Permanent(errors.New("never"))
		case panics:
			panic("as it was told")
		case asksLater:
			return nil, function.RetryAfter(time.Second, errors.New("later"))
		}
		return nil, errors.New("not yet")
	}
	l.journal.end(a, succeeded)
	if d.kind == drops {
		l.journal.finished(a.ctx, l, a.record, function.Dropped)
		return nil, function.Drop("on purpose")
	}
	c := event.New()
	c.SetType(copied)
	c.SetExtension("partitionkey", strconv.Itoa(a.record))
	return []event.Event{c}, nil
}

// witness notes which records are finished: their events, or dead letters, are published, or staged for the transaction that
// commits them.
type witness struct {
	life    *life
	sink    pipeline.Sink
	letters pipeline.DeadLetters
}

// Send implements pipeline.Sink.
func (w *witness) Send(ctx context.Context, outputs ...pipeline.Output) error {
	i, err := strconv.Atoi(fmt.Sprint(outputs[0].Event.Extensions()["causationid"]))
	if err != nil {
		return err
	}
	if err := w.sink.Send(ctx, outputs...); err != nil {
		w.life.journal.unpublished(i, err)
		return err
	}
	w.life.journal.finished(ctx, w.life, i, function.Done)
	return nil
}

// Write implements pipeline.DeadLetters.
func (w *witness) Write(ctx context.Context, f pipeline.Failure) error {
	err := w.letters.Write(ctx, f)
	if err == nil {
		w.life.journal.buried(ctx, w.life, f)
	}
	return err
}

// The life is its member's log and monitor.

func (l *life) Enabled(context.Context, slog.Level) bool { return true }
func (l *life) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *life) WithGroup(string) slog.Handler            { return l }

func (l *life) Handle(_ context.Context, r slog.Record) error {
	text := r.Message
	r.Attrs(func(a slog.Attr) bool { text += " " + a.String(); return true })
	l.journal.notef("%s says: %s", l, text)
	if strings.HasPrefix(text, "handlers were still running") {
		// Also where they ended a moment later.
		l.journal.disturbed()
	}
	return nil
}

func (l *life) Joined(string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.joined = true
}

func (l *life) Left(string)                      {}
func (l *life) Lag(string, string, int32, int64) {}
func (l *life) Committing(string, error)         {}

func (l *life) Stuck(_, _ string, partition int32, err error) {
	l.journal.notef("%s: partition %d stuck: %v", l, partition, err)
}

func (l *life) Released(_, _ string, partition int32) {
	l.journal.notef("%s released partition %d", l, partition)
}
