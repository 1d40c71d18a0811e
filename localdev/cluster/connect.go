package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// DefaultBroker is where the embedded broker listens, and where every Kafka tool looks first.
const DefaultBroker = "127.0.0.1:9092"

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

// ParseBrokers splits "host:port,host:port" and checks each address. At most 100 are read.
func ParseBrokers(list string) ([]string, error) {
	brokers := strings.Split(list, ",")
	if len(brokers) > 100 {
		return nil, fmt.Errorf("%d brokers are named, at most 100 are read", len(brokers))
	}
	for i, b := range brokers {
		b = strings.TrimSpace(b)
		host, port, err := net.SplitHostPort(b)
		if err != nil || host == "" {
			return nil, fmt.Errorf("%q is not a broker's address: it must be HOST:PORT", b)
		}
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return nil, fmt.Errorf("%q is not a broker's address: the port must be 1 to 65535", b)
		}
		brokers[i] = b
	}
	return brokers, nil
}

// Client is a connection to a cluster, for one command's life.
type Client struct {
	*kgo.Client
	Admin   *kadm.Client
	brokers []string
}

// Connect returns a client once a broker answered, within 4 seconds or before ctx ends; otherwise the error is an
// [*UnreachableError]. Topics are never created on the way. The caller closes the client.
func Connect(ctx context.Context, brokers []string, opts ...kgo.Opt) (*Client, error) {
	kafka, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(brokers...),
		kgo.ClientID("millrace"),
		kgo.DialTimeout(patience),
		kgo.RequestTimeoutOverhead(patience),
		kgo.RetryTimeout(patience),
	}, opts...)...)
	if err != nil {
		return nil, fmt.Errorf("Kafka client: %w", err)
	}
	pingCtx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := kafka.Ping(pingCtx); err != nil {
		kafka.Close()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, &UnreachableError{Brokers: brokers, Err: plainCause(err)}
	}
	return &Client{Client: kafka, Admin: kadm.NewClient(kafka), brokers: brokers}, nil
}

// Brokers are the addresses that the client was given.
func (c *Client) Brokers() []string { return c.brokers }

// plainCause strips err of the layers that say nothing to a person.
func plainCause(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("no answer within %s: %w", patience, context.DeadlineExceeded)
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Err != nil {
		return op.Err
	}
	return err
}
