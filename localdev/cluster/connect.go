package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/runtime/kafkaclient"
)

// clientID names this client in the broker's logs.
const clientID = "millrace"

// patience bounds how long a broker may be silent: at the start, and for each later request with its repetitions.
const patience = 4 * time.Second

// UnreachableError says that no broker answered.
type UnreachableError struct {
	Brokers []string
	Err     error
}

func (e *UnreachableError) Error() string {
	return fmt.Sprintf("no Kafka broker answers at %s: %v", strings.Join(e.Brokers, ","), e.Err)
}

// Unwrap returns the cause.
func (e *UnreachableError) Unwrap() error { return e.Err }

// Client is a connection to a cluster, for one command's life.
type Client struct {
	*kgo.Client
	Admin   *kadm.Client
	brokers []string
}

// Connect returns a client once a broker answered, within 4 seconds or before ctx ends; otherwise the error is an
// [*UnreachableError]. Topics are never created on the way. The caller closes the client.
func Connect(ctx context.Context, config kafkaclient.Config, opts ...kgo.Opt) (*Client, error) {
	secured, err := settings(config)
	if err != nil {
		return nil, err
	}
	kafka, err := kgo.NewClient(slices.Concat([]kgo.Opt{
		kgo.SeedBrokers(config.Brokers...),
		kgo.ClientID(clientID),
		kgo.RequestTimeoutOverhead(patience),
		kgo.RetryTimeout(patience),
	}, secured, opts)...)
	if err != nil {
		return nil, fmt.Errorf("client for %s: %w", strings.Join(config.Brokers, ","), err)
	}
	pingCtx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := kafka.Ping(pingCtx); err != nil {
		kafka.Close()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		_, cause := plainCause(err)
		return nil, &UnreachableError{Brokers: config.Brokers, Err: cause}
	}
	return &Client{Client: kafka, Admin: kadm.NewClient(kafka), brokers: config.Brokers}, nil
}

// Brokers are the addresses that the client was given.
func (c *Client) Brokers() []string { return c.brokers }

// plainCause tells whether err is about the connection, and strips it of the layers that say nothing to a person.
func plainCause(err error) (connection bool, cause error) {
	if errors.Is(err, context.DeadlineExceeded) {
		return true, fmt.Errorf("no answer within %s: %w", patience, context.DeadlineExceeded)
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Err != nil {
		return true, op.Err
	}
	return false, err
}
