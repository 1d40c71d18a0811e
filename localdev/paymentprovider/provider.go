package paymentprovider

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/millrace/millrace/runtime/config"
	"github.com/millrace/millrace/runtime/telemetry"
)

// DefaultAddr is where the provider listens.
const DefaultAddr = "127.0.0.1:1082"

// The bounds of the provider.
const (
	maxBody        = 64 << 10
	maxKey         = 255
	maxText        = 1024
	maxListed      = 1000
	maxHeader      = 16 << 10
	readTimeout    = 10 * time.Second
	idleTimeout    = time.Minute
	shutdownWithin = 2 * time.Second
)

// Options are the settings of a provider. The zero value is usable.
type Options struct {
	// Addr is where to listen. Default: [DefaultAddr]. Port 0 takes a free one.
	Addr string
	// Key is what callers show as "Authorization: Bearer …". Default: nobody is asked for it.
	Key config.Secret
	// File keeps the books, so that a provider that starts again knows them. One provider at a time may use it. Default:
	// they are kept in memory.
	File string
	// Mode is how the provider behaves at first. Default: [Up].
	Mode Mode
	// Booked, where set, is told of each entry that is new, declined charges among them, before its caller is answered. It is
	// called from many goroutines and should return at once.
	Booked func(Entry)
	// Now is the clock. Default: time.Now.
	Now func() time.Time
	// Log takes the provider's own errors. Default: nowhere.
	Log *slog.Logger
}

// Provider is a running provider. Its methods may be called concurrently.
type Provider struct {
	url     string
	key     config.Secret
	booked  func(Entry)
	log     *slog.Logger
	book    *book
	server  *http.Server
	served  sync.WaitGroup
	closing chan struct{}
	closed  sync.Once
	failure error

	mu   sync.Mutex
	mode Mode
}

// Start starts a provider. o may be nil.
func Start(o *Options) (*Provider, error) {
	if o == nil {
		o = &Options{}
	}
	mode, err := o.Mode.complete()
	if err != nil {
		return nil, err
	}
	now := o.Now
	if now == nil {
		now = time.Now
	}
	listener, err := net.Listen("tcp", cmp.Or(o.Addr, DefaultAddr))
	if err != nil {
		return nil, fmt.Errorf("payment provider: %w", err)
	}
	book, err := openBook(o.File, now)
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	p := &Provider{
		url: "http://" + listener.Addr().String(), key: o.Key, booked: o.Booked, book: book, mode: mode,
		log: cmp.Or(o.Log, slog.New(slog.DiscardHandler)), closing: make(chan struct{}),
	}
	p.serve(listener)
	return p, nil
}

func (p *Provider) serve(listener net.Listener) {
	p.server = &http.Server{
		Handler:           telemetry.LocalHosts(http.NewCrossOriginProtection().Handler(p.routes())),
		ReadHeaderTimeout: readTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(p.log.Handler(), slog.LevelWarn),
	}
	p.served.Go(func() {
		if err := p.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			p.log.Error("the payment provider stopped", "url", p.url, "error", err)
		}
	})
}

func (p *Provider) routes() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("POST /charges", p.authorized(p.postCharge))
	mux.Handle("POST /refunds", p.authorized(p.postRefund))
	mux.Handle("GET /charges", p.authorized(p.list(Charge)))
	mux.Handle("GET /refunds", p.authorized(p.list(Refund)))
	mux.Handle("GET /books", p.authorized(p.getBooks))
	mux.HandleFunc("GET /mode", p.getMode)
	mux.HandleFunc("PUT /mode", p.putMode)
	return mux
}

// URL is where the provider listens, "http://127.0.0.1:1082".
func (p *Provider) URL() string { return p.url }

// Mode returns how the provider behaves.
func (p *Provider) Mode() Mode {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mode
}

// SetMode changes how the provider behaves towards requests that come from now on. A mode that there is not is a
// [*ModeError].
func (p *Provider) SetMode(m Mode) error {
	m, err := m.complete()
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mode = m
	return nil
}

// Charges returns the charges of an order, declined ones among them, or with an empty order the last 1,000 of all; the
// oldest first.
func (p *Provider) Charges(order string) []Entry { return p.book.list(Charge, order, maxListed) }

// Refunds returns the refunds as Charges does.
func (p *Provider) Refunds(order string) []Entry { return p.book.list(Refund, order, maxListed) }

// Accounts returns what became of the money of each order, by order id.
func (p *Provider) Accounts() []Account { return p.book.accounts() }

// Close ends the provider and waits until it has ended. Callers that wait for an answer get none. It may be called again.
func (p *Provider) Close() error {
	p.closed.Do(func() {
		close(p.closing)
		ctx, cancel := context.WithTimeout(context.Background(), shutdownWithin)
		defer cancel()
		err := p.server.Shutdown(ctx)
		if errors.Is(err, context.DeadlineExceeded) {
			err = p.server.Close()
		}
		p.served.Wait()
		p.failure = errors.Join(err, p.book.close())
	})
	return p.failure
}
