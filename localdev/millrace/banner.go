package main

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/millrace/millrace/localdev/broker"
	"github.com/millrace/millrace/localdev/catalog"
	"github.com/millrace/millrace/localdev/runner"
	"github.com/millrace/millrace/localdev/text"
)

// started prints where everything is.
func (d *dev) started(s runner.System) {
	if d.json {
		d.view.Print(d.startedJSON(s))
		return
	}
	d.view.Print(d.banner(s) + d.view.Header())
}

// ending says what Ctrl-C did.
func (d *dev) ending() {
	if !d.json {
		d.view.Print("\nEnding: what runs may finish, what finished is committed. Ctrl-C again kills.\n")
	}
}

func (d *dev) banner(s runner.System) string {
	var b strings.Builder
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	row := func(what, where, how string) {
		fmt.Fprintf(table, "  %s\t%s\t%s\n", what, text.Escaped(where), text.Escaped(how))
	}
	fmt.Fprintf(table, "\n")
	row("Kafka", strings.Join(s.Kafka.Brokers, ","), kept(s))
	row("Mail", s.SMTP, caught(s.SMTPCaught, "SMTP_ADDR"))
	row("Webhooks", s.Webhook, caught(s.WebhookCaught, "NOTIFY_WEBHOOK_URL"))
	if s.API != "" {
		row("Orders", s.URL()+"/docs", "the shop's API: POST and GET /orders; "+databases(s))
	}
	row("Payments", s.Payments, provided(s))
	if s.HTTP != "" {
		row("Health", "http://"+s.HTTP+"/healthz", "also /readyz and /metrics")
	}
	functions, how := d.functionsRow()
	row("Functions", functions, how)
	if d.demo {
		row("Demo", "2 events/s", "sample orders, users and products")
	}
	_ = table.Flush()
	b.WriteString(notes(s))
	return b.String()
}

func kept(s runner.System) string {
	switch {
	case !s.Embedded:
		return "a cluster of its own"
	case s.Data == "":
		return "embedded, in memory: gone when this ends (--data DIR keeps it)"
	}
	return "embedded, kept in " + s.Data
}

func databases(s runner.System) string {
	if s.Databases == "" {
		return "kept as DATABASE_URL says"
	}
	if s.Data == "" {
		return "kept in SQLite until this ends"
	}
	return "kept in SQLite in " + s.Data
}

func provided(s runner.System) string {
	if s.PaymentsSimulated {
		return "simulated: amounts that end in .13 are declined, PUT /mode lets it fail, GET /books"
	}
	return "as PAYMENT_PROVIDER_URL says"
}

func caught(ours bool, variable string) string {
	if ours {
		return "caught here, sent nowhere"
	}
	return "as " + variable + " says"
}

func groups() int {
	names := map[string]bool{}
	for _, f := range catalog.Functions() {
		if f, err := f.Complete(); err == nil {
			names[f.Group] = true
		}
	}
	return len(names)
}

// notes are what else a person should know.
func notes(s runner.System) string {
	var b strings.Builder
	if len(s.Topics.Created) > 0 && !s.Embedded {
		fmt.Fprintf(&b, "\n  Created topics: %s\n", strings.Join(s.Topics.Created, ", "))
	}
	for _, difference := range s.Topics.Differing {
		fmt.Fprintf(&b, "\n  Note: %s; it was left as it is\n", difference)
	}
	next := "millrace publish FILE sends events, millrace load many of them. Ctrl-C ends."
	if brokers := strings.Join(s.Kafka.Brokers, ","); brokers != loopback(broker.DefaultPort) {
		next = "export KAFKA_BROKERS=" + brokers + " for millrace publish and the other commands. Ctrl-C ends."
	}
	fmt.Fprintf(&b, "\n  %s\n\n", next)
	return b.String()
}

// startedLine is what a program can read off.
type startedLine struct {
	Kind     string   `json:"kind"`
	Kafka    []string `json:"kafka"`
	Embedded bool     `json:"embedded"`
	Data     string   `json:"data,omitzero"`
	SMTP     string   `json:"smtp"`
	Webhook  string   `json:"webhook"`
	Payments string   `json:"payments"`
	API      string   `json:"api,omitzero"`
	HTTP     string   `json:"http,omitzero"`
	Door     string   `json:"door"`
}

func (d *dev) startedJSON(s runner.System) string {
	line, err := text.AppendJSONLine(nil, startedLine{
		Kind: "started", Kafka: s.Kafka.Brokers, Embedded: s.Embedded, Data: s.Data, SMTP: s.SMTP, Webhook: s.Webhook, Payments: s.Payments, API: s.URL(), HTTP: s.HTTP,
		Door: d.door,
	})
	if err != nil {
		panic(fmt.Sprintf("addresses that are no JSON: %v", err))
	}
	return string(line)
}
