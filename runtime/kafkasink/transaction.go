package kafkasink

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/IBM/sarama"

	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/kafkaclient"
)

// Transactor commits records and offsets in Kafka transactions, one after the other: a reader with read_committed sees
// all records of a transaction or none, and the group's offsets move exactly when it does.
//
// It speaks the transaction protocol itself, with sarama's requests: sarama's own producer repeats requests behind its
// caller's back, and a late EndTxn of one transaction can end the next. Here a request that was answered may be repeated,
// and one that was not ends the producer's epoch: a new one is begun (InitProducerId), which aborts what was open and
// fences whatever is still on its way.
//
// One goroutine calls Commit. Prepare, PrepareRecord and Close may be called from any.
type Transactor struct {
	id          string
	brokers     []string
	options     Options
	codec       sarama.CompressionCodec
	client      sarama.Client
	connections *kafkaclient.Connections
	close       func() error

	// closing ends with Close.
	closing context.Context
	stop    context.CancelFunc

	// busy is held while the fields below are in use.
	busy sync.Mutex
	// epoch is nil where the last transaction failed: it may still be open.
	epoch *epoch
	// unresolved is the transaction whose outcome is not known.
	unresolved *transaction
	// fenced is when somebody last took over the id.
	fenced       time.Time
	partitioners map[string]sarama.Partitioner
}

// Offset is what a transaction commits for a partition of the input.
type Offset struct {
	Topic     string
	Partition int32
	// Next is the first offset that is not finished.
	Next int64
	// Metadata is kept beside it, at most 4,096 bytes. Where a connection is lost while a transaction is committed, Next and
	// Metadata are compared with what the group has: let it hold a serial number, so that no two commits are alike.
	Metadata string
}

// OpenTransactor connects to the cluster as clientID, aborts what a predecessor with the same transactionalID left open
// and returns a Transactor. It fails within 10 s, with an error that says what to do, when that is not possible. Two
// programs that run at a time must not have the same transactionalID. nil options are the defaults.
func OpenTransactor(c kafkaclient.Config, clientID, transactionalID string, o *Options) (*Transactor, error) {
	options, err := o.complete()
	if err != nil {
		return nil, err
	}
	if transactionalID == "" {
		return nil, errors.New("kafkasink: the transactional id is empty")
	}
	t := &Transactor{id: transactionalID, brokers: c.Brokers, options: options, connections: kafkaclient.NewConnections(), partitioners: map[string]sarama.Partitioner{}}
	if err := t.codec.UnmarshalText([]byte(options.Compression)); err != nil {
		return nil, err
	}
	t.closing, t.stop = context.WithCancel(context.Background())
	t.close = sync.OnceValue(t.shutdown)
	if err := t.connect(c, clientID); err != nil {
		return nil, err
	}
	if err := t.begin(t.closing); err != nil {
		t.stop()
		return nil, errors.Join(t.advise(err), t.client.Close())
	}
	return t, nil
}

// connect opens the client.
func (t *Transactor) connect(c kafkaclient.Config, clientID string) error {
	conf, err := c.Sarama(clientID)
	if err != nil {
		return err
	}
	conf.Net.ReadTimeout = responseTimeout
	conf.Net.WriteTimeout = responseTimeout
	t.connections.Observe(conf)
	t.client, err = c.Connect(conf)
	return err
}

// Commit publishes records and commits offsets for the group of member, in one transaction: all or nothing. The records
// of a partition are published in the order of the slice. Either may be empty; without offsets member is not used.
// member is the caller's standing in its group when it received the records, by which the broker refuses a member that
// has lost its partitions.
//
// When Commit returns nil the transaction is committed. What an error means:
//
//	function.Unavailable    nothing was committed: the cluster cannot be reached, did not answer in time or refuses this
//	                        program; also ctx ended, or the Transactor is closed. Try the same again.
//	*RecordsError           nothing was committed: some records cannot be published. It says which, and why.
//	*GroupError             nothing was committed: the group moved on.
//	*FencedError            nothing was committed: somebody else uses the transactional id.
//	*UnknownOutcomeError    ctx ended before the outcome could be learned. The next Commit learns it first.
//	*EarlierCommittedError  nothing was committed: this call learned that the transaction before it was.
//	any other               nothing was committed: a mistake of the caller's, such as metadata that is too long.
//
// Where a connection is lost while the transaction is committed, Commit looks at the group's offsets to learn the
// outcome, for as long as ctx allows. A transaction that takes longer than two thirds of Options.TransactionTimeout is
// given up.
func (t *Transactor) Commit(ctx context.Context, records []Prepared, offsets []Offset, member *sarama.ConsumerGroupMetadata) error {
	if len(offsets) > 0 && member == nil {
		return errors.New("kafkasink: offsets without the group's metadata cannot be committed")
	}
	t.busy.Lock()
	defer t.busy.Unlock()
	if t.closing.Err() != nil {
		return function.Unavailable(Dependency, ErrClosed)
	}
	ctx, done := t.untilClosed(ctx)
	defer done()
	tx := &transaction{records: records, offsets: offsets, member: member}
	if t.unresolved != nil {
		if committed, err := t.resolveEarlier(ctx, tx); committed || err != nil {
			return err
		}
	}
	if len(records)+len(offsets) == 0 {
		return nil
	}
	return t.commit(ctx, tx)
}

// untilClosed returns a context that ends with ctx or with Close, and cuts the connections then: requests do not look at
// contexts.
func (t *Transactor) untilClosed(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	stopClosing := context.AfterFunc(t.closing, func() { cancel(ErrClosed) })
	cut := t.connections.CutAtEndOf(ctx)
	return ctx, func() {
		stopClosing()
		cut()
		cancel(nil)
	}
}

// tries is how often Commit begins a transaction again whose connection was lost: brokers close idle connections.
const tries = 2

func (t *Transactor) commit(ctx context.Context, tx *transaction) error {
	for try := 1; ; try++ {
		err := t.attempt(ctx, tx)
		if err == nil {
			return nil
		}
		_, lost := errors.AsType[*lostError](err)
		_, unknown := errors.AsType[*UnknownOutcomeError](err)
		if !lost || unknown || try == tries || ctx.Err() != nil {
			return t.explain(ctx, err)
		}
	}
}

// attempt runs tx once. When it fails, nothing was committed, unless the error is an UnknownOutcomeError.
func (t *Transactor) attempt(ctx context.Context, tx *transaction) error {
	if t.epoch == nil {
		if err := t.begin(ctx); err != nil {
			return err
		}
	}
	err := t.run(ctx, tx)
	if err == nil {
		return nil
	}
	t.epoch = nil
	if tx.unclear {
		return t.resolveUnclear(ctx, tx, err)
	}
	if ctx.Err() == nil && !isAny(err, fencings) {
		// Readers wait for what is open. Where this fails, the next attempt or Close begins the epoch. Who fenced us has
		// aborted it.
		_ = t.begin(ctx)
	}
	return err
}

// explain says, in the words of package function, what err means for the transaction.
func (t *Transactor) explain(ctx context.Context, err error) error {
	var (
		records *RecordsError
		group   *GroupError
		unknown *UnknownOutcomeError
		misuse  *misuseError
	)
	switch {
	case errors.As(err, &records), errors.As(err, &group), errors.As(err, &unknown), errors.As(err, &misuse):
		return err
	case isAny(err, fencings):
		return t.fencedError(err)
	case ctx.Err() != nil:
		err = fmt.Errorf("%w: %w", context.Cause(ctx), err)
	}
	return function.Unavailable(Dependency, fmt.Errorf("commit a transaction: nothing was committed: %w", t.advise(err)))
}

// advise adds to err what to do.
func (t *Transactor) advise(err error) error {
	if advice := transactionAdvice(t.id, err); advice != "" {
		err = fmt.Errorf("%s: %w", advice, err)
	}
	return kafkaclient.Explain(err, t.brokers)
}

// fencedAgain is how soon after another a takeover tells that two programs share the id.
const fencedAgain = time.Minute

func (t *Transactor) fencedError(err error) error {
	again := time.Since(t.fenced) < fencedAgain
	t.fenced = time.Now()
	return &FencedError{TransactionalID: t.id, Again: again, Err: err}
}

// Close aborts a transaction that is open and disconnects. A Commit under way returns soon, as if its ctx had ended.
// Close returns after 5 s at the latest; later calls wait as well and return the same.
func (t *Transactor) Close() error { return t.close() }

// errTransactorCut says that the cluster did not answer in time when the Transactor was closed.
var errTransactorCut = fmt.Errorf("kafkasink: the transactor could not end what was open within %s; the coordinator will, when the transaction's time is up", closeTimeout)

func (t *Transactor) shutdown() error {
	t.stop()
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		t.busy.Lock()
		defer t.busy.Unlock()
		ended <- errors.Join(t.abortOpen(ctx), t.client.Close())
	}()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		t.connections.Cut()
		return errTransactorCut
	}
}

// abortOpen ends what a failed transaction may have left open. Connections that were cut with the transaction are lost
// when they are used: it tries again until ctx ends.
func (t *Transactor) abortOpen(ctx context.Context) error {
	if t.epoch != nil {
		return nil
	}
	defer t.connections.CutAtEndOf(ctx)()
	for retry := 1; ; retry++ {
		err := t.begin(ctx)
		if _, lost := errors.AsType[*lostError](err); !lost || wait(ctx, retry) != nil {
			return err
		}
	}
}
