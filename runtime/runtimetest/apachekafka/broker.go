package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/base64"
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

// broker is an Apache Kafka of one node.
type broker struct {
	address string
	// dir holds settings, log and data. It goes with the broker.
	dir string
	// ended is closed when the process has ended, killed or not.
	ended chan struct{}
	kill  func()
}

// start formats storage, starts a broker on it and waits until the broker answers. The caller must stop it.
func start(ctx context.Context, java, libraries string) (*broker, error) {
	b, err := configure()
	if err != nil {
		return nil, fmt.Errorf("settings of the broker: %w", err)
	}
	if err := b.format(ctx, java, libraries); err != nil {
		b.stop()
		return nil, err
	}
	if err := b.launch(java, libraries); err != nil {
		b.stop()
		return nil, fmt.Errorf("start the broker: %w", err)
	}
	if err := b.ready(ctx); err != nil {
		b.stop()
		return nil, err
	}
	return b, nil
}

// configure returns a broker that is not running yet, with its settings in a folder of its own.
func configure() (*broker, error) {
	ports, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "millrace-apachekafka-")
	if err != nil {
		return nil, err
	}
	b := &broker{address: ports[0], dir: dir, kill: func() {}}
	var settings bytes.Buffer
	err = properties.Execute(&settings, struct{ Broker, Controller, Data string }{ports[0], ports[1], b.file("data")})
	if err == nil {
		err = os.WriteFile(b.file("server.properties"), settings.Bytes(), 0o600)
	}
	if err == nil {
		err = os.WriteFile(b.file("log4j2.properties"), log4j2, 0o600)
	}
	if err != nil {
		b.stop()
		return nil, err
	}
	return b, nil
}

func (b *broker) file(name string) string { return filepath.Join(b.dir, name) }

// format prepares the data folder, as each new node needs it.
func (b *broker) format(ctx context.Context, java, libraries string) error {
	output, err := exec.CommandContext(ctx, java, b.arguments(libraries, "kafka.tools.StorageTool", "format",
		"--standalone", "--cluster-id", clusterID(), "--config", b.file("server.properties"))...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("format the broker's storage: %w\n%s", err, tail(output))
	}
	return nil
}

// arguments are java's for one of Kafka's programs.
func (b *broker) arguments(libraries string, program ...string) []string {
	return append([]string{
		"-Xmx512m",
		"-Dlog4j2.configurationFile=" + b.file("log4j2.properties"),
		"-cp", filepath.Join(libraries, "*"),
	}, program...)
}

// launch starts the broker's process, which then runs until stop: an interrupted command may still need it.
func (b *broker) launch(java, libraries string) error {
	log, err := os.Create(b.file("broker.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	running, kill := context.WithCancel(context.Background())
	process := exec.CommandContext(running, java, b.arguments(libraries, "kafka.Kafka", b.file("server.properties"))...)
	process.Stdout, process.Stderr = log, log
	if err := process.Start(); err != nil {
		kill()
		return err
	}
	b.ended, b.kill = make(chan struct{}), kill
	go func() {
		defer close(b.ended)
		_ = process.Wait() // a broker that ends by itself is reported with its log
	}()
	return nil
}

// ready waits until the broker knows itself as a member of the cluster: an open port says less.
func (b *broker) ready(ctx context.Context) error {
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

// wait blocks until ctx ends, or returns why the broker ended before.
func (b *broker) wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-b.ended:
		return b.failure()
	}
}

// failure describes a broker that ended by itself.
func (b *broker) failure() error {
	return fmt.Errorf("the broker at %s has ended; the end of its log:\n%s", b.address, b.log())
}

func (b *broker) log() []byte {
	content, err := os.ReadFile(b.file("broker.log"))
	if err != nil {
		return []byte(err.Error())
	}
	return tail(content)
}

// stop kills the broker and removes its folder. Its data is of no use to anybody, so there is nothing to end in good
// order.
func (b *broker) stop() {
	b.kill()
	if b.ended != nil {
		<-b.ended
	}
	_ = os.RemoveAll(b.dir) // what is left lies in the system's folder for temporary files
}

// freePorts returns n addresses of the loopback interface that nobody listens on.
func freePorts(n int) ([]string, error) {
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
