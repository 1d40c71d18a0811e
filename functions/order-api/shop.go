package orderapi

import (
	"context"
	"database/sql"
	"errors"
	"net/http"
	"net/url"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-json-experiment/json"

	"github.com/millrace/millrace/functions/internal/order"
	"github.com/millrace/millrace/functions/internal/orderstore"
	"github.com/millrace/millrace/functions/internal/orderview"
	"github.com/millrace/millrace/runtime/eventstore"
)

// shop is what the API is about.
type shop struct {
	orders  *orderstore.Store
	lists   *orderview.Queries
	answers answers
	claims  claims
}

// reply is an answer with an order.
type reply struct {
	Status      int
	ContentType string `header:"Content-Type" hidden:"true"`
	Location    string `header:"Location" hidden:"true"`
	Etag        string `header:"Etag" hidden:"true"`
	Replayed    string `header:"Idempotent-Replayed" hidden:"true"`
	Body        []byte
}

func (s *shop) register(api huma.API) {
	d := describer{api.OpenAPI().Components.Schemas}
	s.registerCommands(api, d)
	s.registerQueries(api, d)
}

// perform does what was asked for, and says what became of it.
func (s *shop) perform(ctx context.Context, t task) (*reply, error) {
	r, err := s.once(ctx, t)
	if err != nil {
		return nil, problemOf(ctx, err)
	}
	return r, nil
}

// once does what was asked for, unless a request with the same Idempotency-Key had it done.
func (s *shop) once(ctx context.Context, t task) (*reply, error) {
	if t.key == "" {
		return s.change(ctx, t)
	}
	release, taken := s.claims.take(t.key)
	if !taken {
		return nil, errKeyTaken
	}
	defer release()
	if again, err := s.replay(ctx, t.key); again != nil || err != nil {
		return again, err
	}
	done, err := s.change(ctx, t)
	if err == nil {
		return done, nil
	}
	// Another process may have handled the same request meanwhile: then this one failed because that one succeeded.
	if again, lost := s.replay(ctx, t.key); again != nil || lost != nil {
		return again, lost
	}
	return nil, err
}

// errKeyTaken: another request with the key is being handled, or was handled a moment ago.
var errKeyTaken = keyInUse.because("A request with this Idempotency-Key is being handled. Repeat the request to get its answer.")

// replay returns the answer that the request with the key got, nil where there was none.
func (s *shop) replay(ctx context.Context, key string) (*reply, error) {
	given, err := s.answers.find(ctx, key)
	switch {
	case err != nil || given == nil:
		return nil, err
	case given.sum != callOf(ctx).sum:
		return nil, keyReused.because("The Idempotency-Key was used for a request with another path or body. " +
			"Use another key for another request.")
	}
	return given.reply(true), nil
}

// change changes the order, and remembers the answer in the same transaction.
func (s *shop) change(ctx context.Context, t task) (*reply, error) {
	c := callOf(ctx)
	cause := orderstore.Cause{CorrelationID: c.correlation, CausationID: c.id, At: t.at}
	o := &orderstore.ChangeOptions{}
	if t.key != "" {
		o.Also = func(ctx context.Context, tx *sql.Tx, after order.Order) error {
			given, err := t.answer(after, c.sum)
			if err != nil {
				return err
			}
			return s.answers.keep(ctx, tx, t.key, given)
		}
	}
	var err error
	if o.Version, err = s.version(ctx, t); err != nil {
		return nil, err
	}
	after, err := s.orders.Change(ctx, t.orderID, cause, t.decide, o)
	if err != nil {
		return nil, t.problemOf(err)
	}
	given, err := t.answer(after, c.sum)
	if err != nil {
		return nil, err
	}
	return given.reply(false), nil
}

// version returns the version of the order that is to be changed, 0 where it is to be created. Who asked for the change saw the
// order before: one that is changed at the same moment by others is another one, about which to think again.
func (s *shop) version(ctx context.Context, t task) (int64, error) {
	if t.creates {
		return 0, nil
	}
	o, err := s.orders.Load(ctx, t.orderID)
	switch {
	case err != nil:
		return 0, err
	case o.Version == 0:
		return 0, unknown(t.orderID)
	case !t.ifMatch.allows(o):
		return 0, problemOfVersion(t.orderID, o.Version)
	}
	return o.Version, nil
}

// problemOf says what it means that the order had another version in the end. Other errors it leaves as they are.
func (t task) problemOf(err error) error {
	conflict, ok := errors.AsType[*eventstore.ConflictError](err)
	switch {
	case !ok:
		return err
	case t.ifMatch.isVersion():
		return problemOfVersion(t.orderID, conflict.Actual)
	}
	return changedMeanwhile.because("Order %s was changed by somebody else at the same moment. Read it again.", t.orderID)
}

// answer returns what a task is answered by when it is done.
func (t task) answer(after order.Order, sum fingerprint) (*answer, error) {
	body, err := json.Marshal(viewOf(after))
	if err != nil {
		return nil, err
	}
	a := &answer{sum: sum, status: http.StatusOK, etag: etag(after), body: body}
	if t.creates {
		a.status, a.location = http.StatusCreated, pathOrders+"/"+url.PathEscape(after.ID)
	}
	return a, nil
}
