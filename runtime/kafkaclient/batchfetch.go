package kafkaclient

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

// How a fetch is asked for.
const (
	fetchKey = 1
	// fetchVersion is the first that brokers answer with zstd, and old enough for those of Kafka 2.1.
	fetchVersion = 10
	// fetchWait is how long a broker waits for new records, in milliseconds.
	fetchWait = 500
	// fetchBytes is how much of a partition is asked for at once; one batch comes whole, whatever its size.
	fetchBytes = 1 << 20
	// answerTimeout bounds the wait for an answer, fetchWait included.
	answerTimeout = 15 * time.Second
)

// past is a deadline that interrupts.
var past = time.Unix(1, 0)

// connection is an authenticated connection to one broker, on which fetches are asked for by hand: sarama gives no access
// to the bytes of a batch that it cannot decompress.
type connection struct {
	net.Conn

	broker   *sarama.Broker
	clientID string
	sent     int32
}

// open connects to a broker. sarama does what comes before the first request: TLS aside, which would hide the bytes, it
// authenticates. After that it neither reads nor writes until it is asked to close.
func open(ctx context.Context, addr string, conf *sarama.Config) (*connection, error) {
	d := &recordingDialer{next: dialerOf(conf), tls: tlsOf(conf)}
	plain := *conf
	plain.Net.TLS.Enable = false
	plain.Net.Proxy.Enable, plain.Net.Proxy.Dialer = true, d
	defer context.AfterFunc(ctx, d.interrupt)()
	broker := sarama.NewBroker(addr)
	if err := broker.Open(&plain); err != nil {
		return nil, err
	}
	if connected, err := broker.Connected(); !connected {
		return nil, errors.Join(err, fmt.Errorf("%s: not connected", addr))
	}
	return &connection{Conn: d.last(), broker: broker, clientID: conf.ClientID}, nil
}

func (c *connection) close() { _ = c.broker.Close() }

func dialerOf(conf *sarama.Config) contextlessDialer {
	if conf.Net.Proxy.Enable {
		return conf.Net.Proxy.Dialer
	}
	return &net.Dialer{Timeout: conf.Net.DialTimeout, KeepAlive: conf.Net.KeepAlive}
}

func tlsOf(conf *sarama.Config) *tls.Config {
	if !conf.Net.TLS.Enable {
		return nil
	}
	return conf.Net.TLS.Config
}

// contextlessDialer is how sarama dials.
type contextlessDialer interface {
	Dial(network, addr string) (net.Conn, error)
}

// recordingDialer remembers the connection that it opened.
type recordingDialer struct {
	next contextlessDialer
	tls  *tls.Config

	mu   sync.Mutex
	conn net.Conn
}

func (d *recordingDialer) Dial(network, addr string) (net.Conn, error) {
	conn, err := d.next.Dial(network, addr)
	if err != nil {
		return nil, err
	}
	if d.tls != nil {
		settings := d.tls.Clone()
		if settings.ServerName == "" {
			settings.ServerName, _, _ = net.SplitHostPort(addr)
		}
		conn = tls.Client(conn, settings)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.conn = conn
	return conn, nil
}

// interrupt ends what is read from the connection.
func (d *recordingDialer) interrupt() {
	if conn := d.last(); conn != nil {
		_ = conn.SetDeadline(past)
	}
}

func (d *recordingDialer) last() net.Conn {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.conn
}

// wanted is what a fetch asks for.
type wanted struct {
	topic     string
	partition int32
	offset    int64
	bytes     int32
	isolation sarama.IsolationLevel
	// wait is how long the broker may wait for records, in milliseconds.
	wait int32
}

// answer is what the broker says of one partition.
type answer struct {
	highWaterMark int64
	aborted       []abortedTransaction
	// batches is one batch after the other, the last of them perhaps cut.
	batches []byte
}

// abortedTransaction tells that what Producer wrote from offset First on, up to a marker, was aborted.
type abortedTransaction struct{ Producer, First int64 }

// fetch asks for a part of one partition. After an error the connection is of no more use, unless it is a sarama.KError.
func (c *connection) fetch(ctx context.Context, w wanted) (answer, error) {
	if err := c.SetDeadline(time.Now().Add(answerTimeout)); err != nil {
		return answer{}, err
	}
	defer context.AfterFunc(ctx, func() { _ = c.SetDeadline(past) })()
	if _, err := c.Write(c.request(w)); err != nil {
		return answer{}, err
	}
	response, err := c.response()
	if err != nil {
		return answer{}, err
	}
	return parseAnswer(response, w)
}

// request returns the fetch request w, as https://kafka.apache.org/protocol#The_Messages_Fetch says.
func (c *connection) request(w wanted) []byte {
	const nobody, noSession, noEpoch = -1, 0, -1
	c.sent++
	b := appendFixed(nil, struct {
		Key, Version int16
		ID           int32
	}{fetchKey, fetchVersion, c.sent})
	b = appendString(b, c.clientID)
	b = appendFixed(b, struct {
		Replica, Wait, MinBytes, MaxBytes int32
		Isolation                         sarama.IsolationLevel
		Session, SessionEpoch, Topics     int32
	}{nobody, w.wait, 1, w.bytes, w.isolation, noSession, noEpoch, 1})
	b = appendString(b, w.topic)
	b = appendFixed(b, struct {
		Partitions, Partition, LeaderEpoch int32
		Offset, LogStart                   int64
		MaxBytes, ForgottenTopics          int32
	}{1, w.partition, noEpoch, w.offset, nobody, w.bytes, 0})
	return append(appendFixed(nil, int32(len(b))), b...) //nolint:gosec // less than a kilobyte
}

// appendFixed appends v, numbers of a fixed size, as the protocol has them.
func appendFixed(b []byte, v any) []byte {
	b, _ = binary.Append(b, binary.BigEndian, v)
	return b
}

func appendString(b []byte, s string) []byte {
	return append(appendFixed(b, int16(len(s))), s...) //nolint:gosec // names of topics and clients are short
}

// response reads the answer to the last request.
func (c *connection) response() ([]byte, error) {
	var head struct{ Size, ID int32 }
	if err := binary.Read(c, binary.BigEndian, &head); err != nil {
		return nil, err
	}
	if head.Size < 4 || head.Size > sarama.MaxResponseSize || head.ID != c.sent {
		return nil, fmt.Errorf("answer %d of %d bytes to request %d", head.ID, head.Size, c.sent)
	}
	body := make([]byte, head.Size-4)
	_, err := io.ReadFull(c, body)
	return body, err
}

var errAnswer = errors.New("the answer to a fetch is malformed")

// parseAnswer reads the body of a fetch response of one partition.
func parseAnswer(body []byte, w wanted) (answer, error) {
	f := cursor{left: body}
	var all struct {
		Throttle        int32
		Error           sarama.KError
		Session, Topics int32
	}
	var part struct {
		Partitions, Partition                int32
		Error                                sarama.KError
		HighWaterMark, LastStable, LogStarts int64
		Aborted                              int32
	}
	f.fixed(&all)
	if all.Error != sarama.ErrNoError {
		return answer{}, all.Error
	}
	topic := f.string()
	f.fixed(&part)
	switch {
	case f.broken, all.Topics != 1, topic != w.topic, part.Partitions != 1, part.Partition != w.partition:
		return answer{}, errAnswer
	case part.Error != sarama.ErrNoError:
		return answer{}, part.Error
	}
	a := answer{highWaterMark: part.HighWaterMark}
	for n := part.Aborted; n > 0 && !f.broken; n-- {
		var t abortedTransaction
		f.fixed(&t)
		a.aborted = append(a.aborted, t)
	}
	var size int32
	f.fixed(&size)
	a.batches = f.take(int64(max(size, 0)))
	if f.broken || len(f.left) > 0 {
		return answer{}, errAnswer
	}
	return a, nil
}
