// Package runner runs the whole system on one machine as one process: Kafka, the functions and services, and in the place of the
// real ones catchers of mail and webhooks, and a payment provider.
//
// It imports localdev/broker, cluster, catalog, mail, paymentprovider and webhook, runtime/boot and what that needs.
package runner

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"slices"
	"syscall"

	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/infra"
	"github.com/millrace/millrace/localdev/broker"
	"github.com/millrace/millrace/localdev/catalog"
	"github.com/millrace/millrace/localdev/cluster"
	"github.com/millrace/millrace/localdev/mail"
	"github.com/millrace/millrace/localdev/paymentprovider"
	"github.com/millrace/millrace/localdev/webhook"
	"github.com/millrace/millrace/runtime/boot"
	"github.com/millrace/millrace/runtime/config"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/kafkaclient"
	"github.com/millrace/millrace/runtime/pipeline"
)

// Options are the settings of a system. The zero value is usable.
type Options struct {
	// Kafka is the address of a real cluster, "host:port" or several joined by commas. Topics that it lacks are created,
	// and nothing else is changed. Default: an embedded broker.
	Kafka string
	// KafkaPort is the port of the embedded broker: see [broker.Options].
	KafkaPort int
	// Data is the folder in which the embedded broker keeps its data (see [broker.Options]), the services their databases and the
	// payment provider its books. Default: all is gone when the system ends. Where Lookup has DATABASE_URL, that is the database of
	// all services.
	Data string
	// SMTPAddr and WebhookAddr are where mail and webhooks are caught. Defaults: [mail.DefaultAddr],
	// [webhook.DefaultAddr]. Where Lookup has SMTP_ADDR or NOTIFY_WEBHOOK_URL, the functions deliver there instead, and
	// nothing is caught.
	SMTPAddr, WebhookAddr string
	// HTTPAddr is where health and metrics are served, "off" for nowhere. Default: as HTTP_ADDR says.
	HTTPAddr string
	// APIAddr is where the shop's API is served, "off" for nowhere. Port 0 takes a free one. Default: as API_ADDR says.
	APIAddr string
	// PaymentAddr is where the payment provider is simulated. Default: [paymentprovider.DefaultAddr]. Where Lookup has
	// PAYMENT_PROVIDER_URL, that is used instead.
	PaymentAddr string
	// Functions are what runs. Default: [catalog.Functions].
	Functions []function.Spec
	// Lookup reads the environment of the functions. Default: [os.LookupEnv].
	Lookup function.Lookup
	// Observers are told of each outcome.
	Observers []pipeline.Observer
	// Mail and Webhook are told of what is caught: see [mail.Options] and [webhook.Options].
	Mail    func(mail.Message)
	Webhook func(webhook.Message)
	// Booked is told of what the payment provider books: see [paymentprovider.Options].
	Booked func(paymentprovider.Entry)
	// Serve runs the functions until ctx ends, in the place of consumer groups in this process: behind another door. It is
	// told what their environment is and how the cluster is reached, and calls started when they read. Functions,
	// Observers and HTTPAddr have no meaning then. Services run in this process nevertheless. Default: none.
	Serve func(ctx context.Context, environment Environment, kafka kafkaclient.Config, started func()) error
	// Started is called once, when the functions have joined their consumer groups.
	Started func(System)
	// Log takes the log. Default: nowhere.
	Log *slog.Logger
}

// Environment returns the environment of the function or service of a name.
type Environment func(name string) function.Lookup

// System tells where a running system can be reached.
type System struct {
	// Kafka is how to reach the cluster. Embedded tells whether it is our own, and Data where that keeps its data.
	Kafka    kafkaclient.Config
	Embedded bool
	Data     string
	// Topics tells which topics were created, and which differ from infra/topics.yaml.
	Topics cluster.Ensured
	// SMTP and Webhook are where functions deliver to: an address, a URL or its host. Caught tells whether that is ours.
	SMTP, Webhook             string
	SMTPCaught, WebhookCaught bool
	// Databases is the folder of the services' databases; empty where DATABASE_URL says where they are.
	Databases string
	// API is where the shop's API is; empty for nowhere.
	API string
	// Payments is the payment provider's URL or host, PaymentsSimulated tells whether it is ours.
	Payments          string
	PaymentsSimulated bool
	// HTTP is where health and metrics are; empty for nowhere.
	HTTP string
}

// URL is the URL of the shop's API, empty where there is none.
func (s *System) URL() string {
	if s.API == "" {
		return ""
	}
	return "http://" + s.API
}

// Part names what wanted an address.
type Part string

// The parts that listen.
const (
	PartKafka    Part = "Kafka"
	PartSMTP     Part = "SMTP"
	PartWebhook  Part = "webhook"
	PartPayments Part = "payment provider"
	PartAPI      Part = "API"
	PartHTTP     Part = "HTTP"
)

// AddressInUseError says that a part cannot listen because another process does.
type AddressInUseError struct {
	Part Part
	Err  error
}

func (e *AddressInUseError) Error() string { return fmt.Sprintf("%s: %v", e.Part, e.Err) }

// Unwrap returns the cause.
func (e *AddressInUseError) Unwrap() error { return e.Err }

// Run runs a system until ctx ends. Then running handlers are waited for (3 s, or DRAIN_TIMEOUT), what they finished is
// committed, everything is closed and Run returns nil.
func Run(ctx context.Context, o *Options) (err error) {
	s := system{options: o.withDefaults()}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := s.start(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	started := func() { s.options.Started(s.system) }
	if s.options.Serve != nil {
		return s.serve(ctx, started)
	}
	err = boot.Run(ctx, s.environment.lookup, s.functions(), &boot.Options{
		Log: s.options.Log, Observers: s.options.Observers, Started: started, Services: s.services(),
	})
	return ofBoot(err)
}

// serve runs the functions behind another door, and the services beside them.
func (s *system) serve(ctx context.Context, started func()) error {
	running, ctx := errgroup.WithContext(ctx)
	ready := started
	for _, service := range s.services() {
		before, answers := ready, make(chan struct{})
		ready = func() {
			select {
			case <-answers:
				before()
			case <-ctx.Done():
			}
		}
		running.Go(func() error {
			return ofBoot(boot.RunService(ctx, s.environment.withoutHealth, service, &boot.Options{
				Log: s.options.Log, Started: func() { close(answers) },
			}))
		})
	}
	running.Go(func() error { return s.options.Serve(ctx, s.environment.of, s.system.Kafka, ready) })
	return running.Wait()
}

// ofBoot marks an error of the runtime about an address that another process has.
func ofBoot(err error) error {
	if address, ok := errors.AsType[*boot.AddressError](err); ok {
		return inUse(PartAPI, address)
	}
	return inUse(PartHTTP, err)
}

func (o *Options) withDefaults() Options {
	var c Options
	if o != nil {
		c = *o
	}
	if c.Functions == nil {
		c.Functions = catalog.Functions()
	}
	if c.Lookup == nil {
		c.Lookup = os.LookupEnv
	}
	if c.Started == nil {
		c.Started = func(System) {}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// system is what Run runs beside the functions.
type system struct {
	options     Options
	system      System
	environment environment
	// closers are called in the reverse of their order.
	closers []func() error
}

func (s *system) start(ctx context.Context) error {
	s.environment = environment{base: s.options.Lookup, set: map[string]string{}}
	s.environment.fallBack("DRAIN_TIMEOUT", drainTimeout)
	for _, start := range []func(context.Context) error{s.startKafka, s.startMail, s.startWebhook, s.startProvider, s.findDatabases, s.findAPI} {
		if err := start(ctx); err != nil {
			return err
		}
	}
	if s.options.Serve != nil {
		return nil
	}
	return s.describeHTTP()
}

// close is called when the functions have ended: they need everything else until then.
func (s *system) close() error {
	var errs []error
	for _, closer := range slices.Backward(s.closers) {
		errs = append(errs, closer())
	}
	return errors.Join(errs...)
}

func (s *system) startKafka(ctx context.Context) error {
	if s.options.Kafka != "" {
		return s.useCluster(ctx)
	}
	b, err := broker.Start(ctx, &broker.Options{Port: s.options.KafkaPort, DataDir: s.options.Data})
	if err != nil {
		return inUse(PartKafka, err)
	}
	s.closers = append(s.closers, b.Close)
	s.environment.hide("KAFKA_TLS", "KAFKA_SASL")
	s.environment.set["KAFKA_BROKERS"] = b.Addr()
	s.system.Kafka.Brokers, s.system.Embedded, s.system.Data = []string{b.Addr()}, true, s.options.Data
	s.system.Topics = b.Ensured()
	return nil
}

func (s *system) useCluster(ctx context.Context) error {
	s.environment.set["KAFKA_BROKERS"] = s.options.Kafka
	if err := config.Load(s.environment.lookup, &s.system.Kafka); err != nil {
		return err
	}
	client, err := cluster.Connect(ctx, s.system.Kafka)
	if err != nil {
		return err
	}
	defer client.Close()
	s.system.Topics, err = client.EnsureTopics(ctx, infra.Topics())
	return err
}

func (s *system) startMail(context.Context) error {
	if addr, ok := s.environment.own("SMTP_ADDR"); ok {
		s.system.SMTP = addr
		return nil
	}
	server, err := mail.Start(&mail.Options{Addr: s.options.SMTPAddr, Received: s.options.Mail, Log: s.options.Log})
	if err != nil {
		return inUse(PartSMTP, err)
	}
	s.closers = append(s.closers, server.Close)
	s.environment.hide("SMTP_USERNAME", "SMTP_PASSWORD", "SMTP_CA_FILE")
	s.environment.set["SMTP_ADDR"], s.environment.set["SMTP_TLS"] = server.Addr(), "none"
	s.system.SMTP, s.system.SMTPCaught = server.Addr(), true
	return nil
}

func (s *system) startWebhook(context.Context) error {
	if address, ok := s.environment.own("NOTIFY_WEBHOOK_URL"); ok {
		s.system.Webhook = hostOf(address)
		return nil
	}
	secret := webhook.NewSecret()
	receiver, err := webhook.Start(secret, &webhook.Options{
		Addr: s.options.WebhookAddr, Received: s.options.Webhook, Log: s.options.Log,
	})
	if err != nil {
		return inUse(PartWebhook, err)
	}
	s.closers = append(s.closers, receiver.Close)
	s.environment.hide("NOTIFY_WEBHOOK_SECRET_FILE")
	s.environment.set["NOTIFY_WEBHOOK_URL"], s.environment.set["NOTIFY_WEBHOOK_SECRET"] = receiver.URL(), secret.Reveal()
	s.system.Webhook, s.system.WebhookCaught = receiver.URL(), true
	return nil
}

// hostOf returns the part of a URL that may be shown: the rest may hold a token.
func hostOf(address string) string {
	parsed, err := url.Parse(address)
	if err != nil {
		return "NOTIFY_WEBHOOK_URL"
	}
	return parsed.Host
}

// inUse marks an error about an address that another process has.
func inUse(part Part, err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return &AddressInUseError{Part: part, Err: err}
	}
	return err
}
