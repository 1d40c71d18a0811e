// Package webhook is the receiver of text messages and alerts in local development: it catches what notification-requested
// posts to 127.0.0.1, and checks it as a real receiver would, by Standard Webhooks
// (https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md).
//
// Of millrace it imports runtime/telemetry for its check of host names, and nothing else.
package webhook

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/millrace/millrace/runtime/telemetry"
)

// DefaultAddr is where the receiver listens.
const DefaultAddr = "127.0.0.1:1081"

// path is where messages are posted to.
const path = "/notifications"

// The bounds of the receiver.
const (
	maxBody        = 1 << 20
	maxMessages    = 1000
	maxHeader      = 16 << 10
	readTimeout    = 10 * time.Second
	idleTimeout    = time.Minute
	shutdownWithin = 2 * time.Second
)

// Options are the settings of a receiver. The zero value is usable.
type Options struct {
	// Addr is where to listen. Default: [DefaultAddr]. Port 0 takes a free one.
	Addr string
	// Received, where set, is told of each message before its sender is told that it was taken. It is called from many
	// goroutines and should return at once.
	Received func(Message)
	// Log takes the receiver's own errors. Default: nowhere.
	Log *slog.Logger
}

// Message is a message that was received.
type Message struct {
	// ID is the same for each repetition of a message.
	ID       string
	Received time.Time
	// Type is "notification.sms" or "notification.admin_alert".
	Type string
	// Recipient is who the message is for; empty for alerts.
	Recipient string
	Subject   string
	Text      string
	// Body is the message as it came.
	Body []byte
}

// Receiver is a running receiver. Its methods may be called concurrently.
type Receiver struct {
	url      string
	secret   Secret
	received func(Message)
	server   *http.Server
	served   sync.WaitGroup

	mu       sync.Mutex
	messages []Message
}

// Start starts a receiver that accepts what is signed with secret.
func Start(secret Secret, o *Options) (*Receiver, error) {
	if o == nil {
		o = &Options{}
	}
	listener, err := net.Listen("tcp", cmp.Or(o.Addr, DefaultAddr))
	if err != nil {
		return nil, fmt.Errorf("receiver of webhooks: %w", err)
	}
	log := cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	r := &Receiver{url: "http://" + listener.Addr().String() + path, secret: secret, received: o.Received}
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+path, r.receive)
	r.server = &http.Server{
		Handler:           telemetry.LocalHosts(mux),
		ReadHeaderTimeout: readTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      readTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	r.served.Go(func() {
		if err := r.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			log.Error("the receiver of webhooks stopped", "url", r.url, "error", err)
		}
	})
	return r, nil
}

// URL is where to post, "http://127.0.0.1:1081/notifications".
func (r *Receiver) URL() string { return r.url }

// Messages returns the last 1000 messages, the oldest first. They are shared: do not change them.
func (r *Receiver) Messages() []Message {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Message(nil), r.messages...)
}

// Close ends the receiver and waits until it has ended.
func (r *Receiver) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), shutdownWithin)
	defer cancel()
	err := r.server.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = r.server.Close()
	}
	r.served.Wait()
	return err
}

func (r *Receiver) receive(w http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, request.Body, maxBody))
	if err != nil {
		http.Error(w, "the body is cut off or larger than 1 MiB", http.StatusRequestEntityTooLarge)
		return
	}
	if mediaType, _, err := mime.ParseMediaType(request.Header.Get("Content-Type")); err != nil || mediaType != "application/json" {
		http.Error(w, "Content-Type must be application/json", http.StatusUnsupportedMediaType)
		return
	}
	if err := r.secret.verify(request.Header, body, time.Now()); err != nil {
		http.Error(w, err.Error(), http.StatusUnauthorized)
		return
	}
	m, err := parse(body)
	if err != nil {
		http.Error(w, "the body is not a notification", http.StatusBadRequest)
		return
	}
	m.ID, m.Received = request.Header.Get(headerID), time.Now()
	r.keep(m)
	w.WriteHeader(http.StatusNoContent)
}

func (r *Receiver) keep(m Message) {
	r.mu.Lock()
	r.messages = append(r.messages, m)
	r.messages = r.messages[max(0, len(r.messages)-maxMessages):]
	r.mu.Unlock()
	if r.received != nil {
		r.received(m)
	}
}

func parse(body []byte) (Message, error) {
	var posted struct {
		Type string `json:"type"`
		Data struct {
			Recipient string `json:"recipient"`
			Subject   string `json:"subject"`
			Text      string `json:"text"`
		} `json:"data"`
	}
	if err := json.Unmarshal(body, &posted); err != nil {
		return Message{}, err
	}
	if posted.Type == "" {
		return Message{}, errors.New("type is missing")
	}
	return Message{
		Type: posted.Type, Recipient: posted.Data.Recipient, Subject: posted.Data.Subject, Text: posted.Data.Text, Body: body,
	}, nil
}
