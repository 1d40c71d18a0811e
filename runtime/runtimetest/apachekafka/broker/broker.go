// Package broker runs an Apache Kafka of one node on this machine, from its Maven artifacts: fresh, on loopback, and gone
// with its data when it is closed.
//
// It needs Java 17 or newer and, for the first run, Maven; the libraries stay in a cache folder. It imports franz-go, to
// ask the broker whether it is ready. Only tests and what serves them may import it.
package broker

import (
	"bytes"
	"cmp"
	"context"
	_ "embed"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"text/template"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

//go:embed server.properties.tmpl
var propertiesText string

//go:embed log4j2.properties
var log4j2 []byte

var properties = template.Must(template.New("server.properties").Parse(propertiesText))

// startTimeout is how long a broker may take until it answers; on an idle machine it takes two to four seconds.
const startTimeout = 2 * time.Minute

// Version is the newest that sarama knows by name.
const Version = "4.3.1"

// Options of Start. The zero value and nil are the defaults.
type Options struct {
	// Version of Apache Kafka, 4.1 or newer. Default: [Version].
	Version string
	// Cache is the folder that keeps the broker's libraries for later runs. Default: [DefaultCache].
	Cache string
	// Progress is told, in a sentence, what takes long. Default: nobody.
	Progress func(format string, args ...any)
	// Dir is an empty folder for settings, log and data, which stays when the broker is closed. Default: a temporary one,
	// which does not.
	Dir string
	// Listeners are further ones, beside that of Addr.
	Listeners []Listener
}

// Listener is an address that clients reach by way of another, such as a proxy's.
type Listener struct {
	// Address is where the broker listens, host:port.
	Address string
	// Advertised is where the clients of this listener are told to find the broker.
	Advertised string
}

// Broker is an Apache Kafka of one node. Its methods must not be called concurrently, except for Addr.
type Broker struct {
	address         string
	java, libraries string
	// dir holds settings, log and data. It goes with the broker where temporary is set.
	dir       string
	temporary bool
	process   *os.Process
	// ended is closed when the process has ended, killed or not.
	ended chan struct{}
}

// Start downloads the broker's libraries where they are missing, formats storage, starts a broker on it and waits until
// the broker answers. The caller must close it.
func Start(ctx context.Context, o *Options) (*Broker, error) {
	o = o.complete()
	java, err := findJava(ctx)
	if err != nil {
		return nil, err
	}
	libraries, err := fetch(ctx, o.Cache, o.Version, o.Progress)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	b, err := configure(java, libraries, o)
	if err != nil {
		return nil, fmt.Errorf("settings of the broker: %w", err)
	}
	if err := b.format(ctx); err != nil {
		b.Close()
		return nil, err
	}
	if err := b.Restart(ctx); err != nil {
		b.Close()
		return nil, err
	}
	o.Progress("Apache Kafka %s answers on %s after %s", o.Version, b.address, since(began))
	return b, nil
}

// complete returns o with its defaults filled in.
func (o *Options) complete() *Options {
	var c Options
	if o != nil {
		c = *o
	}
	c.Version = cmp.Or(c.Version, Version)
	if c.Cache == "" {
		c.Cache = DefaultCache()
	}
	if c.Progress == nil {
		c.Progress = func(string, ...any) {}
	}
	return &c
}

// configure returns a broker that is not running yet, with its settings in a folder of its own.
func configure(java, libraries string, o *Options) (*Broker, error) {
	ports, err := FreeAddresses(2)
	if err != nil {
		return nil, err
	}
	b := &Broker{address: ports[0], java: java, libraries: libraries, dir: o.Dir, temporary: o.Dir == ""}
	if b.temporary {
		if b.dir, err = os.MkdirTemp("", "millrace-apachekafka-"); err != nil {
			return nil, err
		}
	}
	var settings bytes.Buffer
	err = properties.Execute(&settings, map[string]any{
		"Broker": ports[0], "Controller": ports[1], "Data": b.file("data"), "Listeners": o.Listeners,
	})
	if err == nil {
		err = os.WriteFile(b.file("server.properties"), settings.Bytes(), 0o600)
	}
	if err == nil {
		err = os.WriteFile(b.file("log4j2.properties"), log4j2, 0o600)
	}
	if err != nil {
		b.Close()
		return nil, err
	}
	return b, nil
}

// Addr returns the address that clients start from, host:port. It stays the same when the broker is restarted.
func (b *Broker) Addr() string { return b.address }

func (b *Broker) file(name string) string { return filepath.Join(b.dir, name) }

// format prepares the data folder, as each new node needs it.
func (b *Broker) format(ctx context.Context) error {
	output, err := exec.CommandContext(ctx, b.java, b.arguments("kafka.tools.StorageTool", "format",
		"--standalone", "--cluster-id", clusterID(), "--config", b.file("server.properties"))...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("format the broker's storage: %w\n%s", err, tail(output))
	}
	return nil
}

// arguments are java's for one of Kafka's programs.
func (b *Broker) arguments(program ...string) []string {
	return append([]string{
		"-Xmx512m",
		"-Dlog4j2.configurationFile=" + b.file("log4j2.properties"),
		"-cp", filepath.Join(b.libraries, "*"),
	}, program...)
}

// Restart starts the broker again, on its data, after [Broker.Stop], and waits until it answers.
func (b *Broker) Restart(ctx context.Context) error {
	if err := b.launch(); err != nil {
		return fmt.Errorf("start the broker: %w", err)
	}
	return b.ready(ctx)
}

// launch starts the broker's process, which then runs until it is stopped: an interrupted command may still need it.
func (b *Broker) launch() error {
	log, err := os.OpenFile(b.file("broker.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	process := exec.Command(b.java, b.arguments("kafka.Kafka", b.file("server.properties"))...) //nolint:noctx // see above
	process.Stdout, process.Stderr = log, log
	if err := process.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	b.process, b.ended = process.Process, ended
	go func() {
		defer close(ended)
		_ = process.Wait() // a broker that ends by itself is reported with its log
	}()
	return nil
}

// ready waits until the broker knows itself as a member of the cluster: an open port says less.
func (b *Broker) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(b.address), kgo.ClientID("apachekafka"))
	if err != nil {
		return err
	}
	defer client.Close()
	for {
		response, err := kmsg.NewPtrMetadataRequest().RequestWith(ctx, client)
		if err == nil && len(response.Brokers) > 0 {
			return nil
		}
		select {
		case <-b.ended:
			return b.failure()
		case <-ctx.Done():
			return fmt.Errorf("wait for the broker at %s: %w\n%s", b.address, context.Cause(ctx), b.log())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Wait blocks until ctx ends, or returns why the broker ended before.
func (b *Broker) Wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-b.ended:
		return b.failure()
	}
}

// failure describes a broker that ended by itself.
func (b *Broker) failure() error {
	return fmt.Errorf("the broker at %s has ended; the end of its log:\n%s", b.address, b.log())
}

func (b *Broker) log() []byte {
	content, err := os.ReadFile(b.file("broker.log"))
	if err != nil {
		return []byte(err.Error())
	}
	return tail(content)
}

// stopTimeout is how long a broker may take to end in good order.
const stopTimeout = time.Minute

// Stop sends signal to the broker and returns when it has ended: SIGTERM ends it in good order, SIGKILL does not. Its
// data stays for [Broker.Restart]. A broker that has ended already is no error.
func (b *Broker) Stop(signal os.Signal) error {
	if b.process == nil {
		return nil
	}
	if err := b.process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop the broker at %s: %w", b.address, err)
	}
	select {
	case <-b.ended:
		return nil
	case <-time.After(stopTimeout):
		return fmt.Errorf("the broker at %s runs %s after %s; the end of its log:\n%s", b.address, stopTimeout, signal, b.log())
	}
}

// Close kills the broker and removes its folder, unless that is the caller's. Nobody goes on with its data, so there is
// nothing to end in good order.
func (b *Broker) Close() {
	_ = b.Stop(os.Kill) // a process that outlives that is beyond help
	if b.temporary {
		_ = os.RemoveAll(b.dir) // what is left lies in the system's folder for temporary files
	}
}

// FreeAddresses returns n addresses of the loopback interface, host:port, that nobody listens on.
func FreeAddresses(n int) ([]string, error) {
	var addresses []string
	for range n {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		// Open until all are found, so that they differ.
		defer listener.Close()
		addresses = append(addresses, listener.Addr().String())
	}
	return addresses, nil
}

// clusterID returns an id in the form that the storage tool asks for. It takes an id that starts with a hyphen for a
// flag.
func clusterID() string {
	for {
		random := uuid.New()
		if id := base64.RawURLEncoding.EncodeToString(random[:]); !strings.HasPrefix(id, "-") {
			return id
		}
	}
}
