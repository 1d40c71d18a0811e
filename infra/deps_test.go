package infra_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The arrows between packages. A pattern names packages: "./" is the root of this module, "*" one part of a path, "/..."
// a folder and all below it.

// arrow is a rule about what packages import. Tests may import what they like.
type arrow struct {
	// in lists the packages that the rule is about, but for except.
	in, except []string
	// only, unless it is empty, lists what they may import beside the standard library.
	only []string
	// never lists what they must not import themselves.
	never []string
	// unreachable lists what they must not import, not even by way of others.
	unreachable []string
	why         string
}

const (
	sarama    = "github.com/IBM/sarama/..."
	saramaSDK = "github.com/cloudevents/sdk-go/protocol/kafka_sarama/..."
	lambda    = "github.com/aws/aws-lambda-go/..."
	franz     = "github.com/twmb/franz-go/pkg/k*/..." // the clients and what they are made of; pkg/sasl is no client
	kfake     = "github.com/twmb/franz-go/pkg/kfake/..."
	events    = "github.com/cloudevents/sdk-go/v2/event"
	payloads  = "./cloudevents/..."
	eventRows = "./runtime/internal/eventrow"
)

// databases are the clients of databases.
var databases = []string{"github.com/jackc/pgx/...", "github.com/redis/go-redis/...", "modernc.org/sqlite/...", "github.com/pressly/goose/..."}

// arrows are the rules that hold whatever functions there are.
var arrows = []arrow{
	{
		in: []string{payloads}, never: []string{"./runtime/...", "./functions/...", "./localdev/...", "./infra/..."},
		unreachable: []string{sarama, saramaSDK, lambda, franz},
		why:         "the language of events is spoken in every room: it must be usable without the runtime, Kafka or Lambda",
	},
	{
		in: []string{"./runtime/..."}, never: []string{"./functions/...", "./localdev/...", "./infra/..."},
		why: "the runtime serves functions that it does not know",
	},
	{
		in: []string{"./runtime/frontier", "./runtime/lanes"}, only: []string{"./runtime/frontier", "./runtime/lanes"},
		why: "what may be committed, and in which order work is done, is decided without knowing records, Kafka or Lambda",
	},
	{
		in: []string{
			"./runtime/config", "./runtime/function", "./runtime/pipeline", "./runtime/middleware", "./runtime/breaker",
			"./runtime/deadletter", "./runtime/telemetry", "./runtime/idempotency", "./runtime/database", "./runtime/eventstore/...",
			"./runtime/outbox", "./runtime/projection", "./runtime/internal/...",
		},
		unreachable: []string{
			sarama, saramaSDK, lambda, franz, "./runtime/consumergroup", "./runtime/msktrigger", "./runtime/httpsink", "./runtime/boot",
		},
		why: "the life of a record is the same behind every door: it must not know one",
	},
	{
		in: []string{"./runtime/function"},
		only: []string{
			"./runtime/config", "./cloudevents/schemas", events, "github.com/cloudevents/sdk-go/v2/types", // types is what events are made of
			"github.com/go-json-experiment/json/...", "github.com/google/uuid",
		},
		why: "what every author imports brings nothing along: chores and services are told by it, and run elsewhere",
	},
	{
		in: []string{"./runtime/boot"}, never: []string{"./runtime/database", "./runtime/eventstore/...", "./runtime/outbox", "./runtime/projection"},
		why: "a program runs its chores without knowing what they do: functions that keep nothing must not link a database",
	},
	{
		in: []string{"./runtime/consumergroup"}, unreachable: []string{"./runtime/msktrigger", "./runtime/httpsink", "./runtime/boot"},
		why: "a door hands records to the pipeline and knows no other door",
	},
	{
		in: []string{"./runtime/msktrigger"}, unreachable: []string{"./runtime/consumergroup", "./runtime/httpsink", "./runtime/boot"},
		why: "a door hands records to the pipeline and knows no other door",
	},
	{
		in: []string{"./runtime/httpsink"}, unreachable: []string{"./runtime/consumergroup", "./runtime/msktrigger", "./runtime/boot"},
		why: "a door hands records to the pipeline and knows no other door",
	},
	{
		in: []string{"./..."}, except: []string{"./runtime/kafkaclient", "./runtime/kafkasink", "./runtime/consumergroup"},
		never: []string{sarama, saramaSDK},
		why:   "a Kafka client can only be replaced where few packages speak to it: use runtime/kafkaclient or kafkasink",
	},
	{
		in: []string{"./..."}, except: []string{"./runtime/msktrigger", "./runtime/boot"}, never: []string{lambda},
		why: "functions cannot tell where they run: only the trigger and the choice of the door know Lambda",
	},
	{
		in: []string{"./..."}, except: []string{"./localdev/...", "./runtime/runtimetest/..."}, never: []string{franz},
		why: "the embedded broker and its client are for laptops and tests",
	},
	{
		in:     []string{"./..."},
		except: []string{"./localdev/...", "./runtime/runtimetest/...", "./runtime/chaos/...", "./infra/internal/generate"},
		never:  []string{"./runtime/runtimetest/...", "./runtime/chaos/...", "./localdev/..."},
		why:    "faults, test suites and local tools are for laptops and tests",
	},
	{
		in: []string{"./..."}, except: []string{"./runtime/boot", "./runtime/runtimetest/..."}, never: []string{"./runtime/idempotency"},
		why: "whether and where handled events are remembered is the operator's choice: only the wiring knows",
	},
	{
		in: []string{"./..."}, except: []string{"./runtime/database", "./runtime/idempotency", "./runtime/runtimetest/..."}, never: databases,
		why: "functions get a transaction of database/sql; which database it is, only the stores know",
	},
	{
		in: []string{"./runtime/database"}, only: append([]string{"./runtime/config"}, databases...),
		why: "a database is opened in the same way for whatever is kept in it",
	},
	{
		in: []string{"./runtime/eventstore"}, only: []string{"./runtime/database", "./runtime/function", eventRows, payloads, events, "github.com/go-json-experiment/json/..."},
		why: "events are stored without knowing who publishes or handles them, and which client a database has",
	},
	{
		in: []string{"./runtime/outbox"}, only: []string{"./runtime/database", "./runtime/function", eventRows, payloads, events, "github.com/google/uuid"},
		why: "events are put beside any rows and published by anything: no event store, no broker and no client of a database is needed",
	},
	{
		in: []string{"./runtime/projection"}, only: []string{"./runtime/database", "./runtime/eventstore", "./runtime/function", "github.com/go-json-experiment/json/..."},
		why: "tables follow from stored events, whatever they tell: no broker, no payload and no client of a database is needed",
	},
	{
		in: []string{eventRows}, only: []string{payloads, events},
		why: "an event is written into a row in the same way wherever it is kept",
	},
	{
		in:    []string{"./functions/internal/order"},
		only:  []string{payloads, "./runtime/function", "github.com/go-json-experiment/json/..."},
		never: []string{"context", "crypto/...", "database/sql/...", "io/...", "log/...", "math/rand/...", "net/...", "os/...", "sync/..."},
		why:   "what may happen to an order follows from what happened to it: ids and times are told, nothing is read or written",
	},
	{
		in: []string{"./functions/internal/orderstore"},
		only: []string{
			payloads, events, "./functions/internal/order", "./runtime/function", "./runtime/database", "./runtime/eventstore", "./runtime/outbox",
		},
		why: "orders are kept without knowing who asks for changes: the API, another service's event, or time that passed",
	},
	{
		in: []string{"./functions/*/bootstrap"}, only: []string{"./functions/*", "./runtime/boot"},
		why: "a bootstrap names its functions; everything else is the runtime's work",
	},
	{
		in: []string{"./functions/*/bootstrap"},
		unreachable: []string{
			kfake, "./runtime/runtimetest/...", "./runtime/chaos/...", "./localdev/...", "./cloudevents/cloudeventstest/...", "./runtime/eventstore/eventstoretest",
			"testing", "github.com/stretchr/testify/...", "pgregory.net/rapid/...", "go.uber.org/goleak/...",
		},
		why: "what is deployed carries no test code",
	},
	{
		in: []string{"./infra"}, never: []string{"./..."},
		why: "lists of topics are read by everybody, so they read nobody",
	},
}

// libraries are what functions import beside the runtime's words, each with its reason.
var libraries = map[string][]string{
	"inventory": {
		"./runtime/database", // its tables
		"./runtime/outbox",   // the events that tell of their changes
	},
	"order-api": {
		"github.com/danielgtaylor/huma/v2/...",   // HTTP, and what OpenAPI says about it
		"github.com/go-json-experiment/json/...", // bodies
		"github.com/google/uuid",                 // ids of orders and requests
		"./runtime/database",                     // where answers are kept for requests that are repeated
		"./runtime/eventstore",                   // the error of an order that has another version
		"./runtime/projection",                   // the error of a list that is not built yet
	},
	"notification-requested": {
		"./runtime/config",                       // secrets in its settings
		"github.com/wneessen/go-mail/...",        // SMTP
		"github.com/emersion/go-smtp/...",        // the mail server of its tests
		"github.com/emersion/go-sasl/...",        // as above
		"github.com/go-json-experiment/json/...", // the data of a template
	},
	"order-process": {
		"./runtime/database", // its settings
	},
	"order-view": {
		"./runtime/database",   // its settings
		"./runtime/eventstore", // the errors of what is no stream, or cannot be read
		"./runtime/projection", // what it keeps up to date
	},
	"payment": {
		"./runtime/config",                       // secrets in its settings
		"./runtime/database",                     // its table
		"./runtime/outbox",                       // its events, published if and only if the row that they tell of is stored
		"github.com/go-json-experiment/json/...", // what is said to the payment provider
	},
	"internal": {
		"github.com/google/go-cmp/...",           // functiontest compares events
		"github.com/go-json-experiment/json/...", // functiontest reads golden files, order its facts
		"./runtime/database",                     // where orderstore keeps orders
		"./runtime/eventstore",                   // as streams of facts
		"./runtime/outbox",                       // that are published if and only if they are stored
		"./runtime/projection",                   // which orderview follows
	},
}

// functionArrows are the rules of one folder below functions.
func functionArrows(name string) []arrow {
	folder := "./functions/" + name + "/..."
	only := []string{"./runtime/function", payloads, events, "./functions/internal/...", folder}
	return []arrow{
		{
			in: []string{folder}, except: []string{"./functions/*/bootstrap"}, only: append(only, libraries[name]...),
			why: "a function knows its events, runtime/function and what functions/internal shares, never another function " +
				"or a transport; a library that it needs is listed in infra/deps_test.go",
		},
		{
			in: []string{folder}, except: []string{"./functions/*/bootstrap"}, unreachable: []string{sarama, saramaSDK, lambda, franz},
			why: "a function cannot tell where it runs, so nothing that it imports may know",
		},
	}
}

// imports is what each package imports, the standard library included.
type imports map[string][]string

func TestArrows(t *testing.T) {
	t.Parallel()
	graph := readImports(t)
	for _, violation := range check(graph, allArrows(graph)) {
		t.Error(violation)
	}
}

func TestNoPackagesInHallways(t *testing.T) {
	t.Parallel()
	for _, folder := range []string{"runtime", "cloudevents"} {
		files, err := filepath.Glob(filepath.Join("..", folder, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		if len(files) > 0 {
			t.Errorf("%v: a package %s would collide with another of this name wherever it is imported; put it into a folder of its own", files, folder)
		}
	}
}

// Each rule forbids what it is for.
func TestArrowsForbid(t *testing.T) {
	t.Parallel()
	tests := []struct{ from, by, to, why string }{
		{"./cloudevents/order", "", "./runtime/function", "language of events"},
		{"./cloudevents/kafkabinding", "example.org/x", "github.com/IBM/sarama", "language of events"},
		{"./runtime/pipeline", "", "./functions/order-created", "serves functions"},
		{"./runtime/frontier", "", "./runtime/pipeline", "without knowing records"},
		{"./runtime/telemetry", "./runtime/kafkaclient", "github.com/IBM/sarama", "the same behind every door"},
		{"./runtime/function", "", "./runtime/pipeline", "brings nothing along"},
		{"./runtime/function", "", "go.opentelemetry.io/otel/trace", "brings nothing along"},
		{"./runtime/boot", "", "./runtime/outbox", "must not link a database"},
		{"./runtime/consumergroup", "example.org/x", "./runtime/msktrigger", "no other door"},
		{"./runtime/msktrigger", "", "./runtime/httpsink", "no other door"},
		{"./runtime/httpsink", "", "./runtime/consumergroup", "no other door"},
		{"./runtime/boot", "", "github.com/IBM/sarama", "few packages speak"},
		{"./localdev/cluster", "", "github.com/cloudevents/sdk-go/protocol/kafka_sarama/v2", "few packages speak"},
		{"./runtime/consumergroup", "", "github.com/aws/aws-lambda-go/lambda", "choice of the door"},
		{"./runtime/kafkasink", "", "github.com/twmb/franz-go/pkg/kgo", "for laptops and tests"},
		{"./runtime/boot", "", "./runtime/chaos", "for laptops and tests"},
		{"./runtime/consumergroup", "", "./runtime/idempotency", "the operator's choice"},
		{"./functions/order-paid", "", "./runtime/idempotency", "the operator's choice"},
		{"./runtime/idempotency", "./runtime/kafkaclient", "github.com/IBM/sarama", "the same behind every door"},
		{"./runtime/boot", "", "github.com/jackc/pgx/v5/stdlib", "only the stores know"},
		{"./functions/order-paid", "", "modernc.org/sqlite", "only the stores know"},
		{"./runtime/eventstore", "", "github.com/jackc/pgx/v5/pgconn", "only the stores know"},
		{"./runtime/eventstore", "", "./runtime/pipeline", "who publishes or handles"},
		{"./runtime/eventstore/eventstoretest", "./runtime/kafkasink", "github.com/IBM/sarama", "the same behind every door"},
		{"./runtime/database", "", "./runtime/function", "whatever is kept in it"},
		{"./runtime/outbox", "", "github.com/jackc/pgx/v5", "only the stores know"},
		{"./runtime/outbox", "", "./runtime/eventstore", "beside any rows"},
		{"./runtime/outbox", "./runtime/kafkasink", "github.com/IBM/sarama", "the same behind every door"},
		{"./runtime/internal/eventrow", "", "./runtime/database", "wherever it is kept"},
		{"./runtime/projection", "", "./runtime/outbox", "whatever they tell"},
		{"./runtime/projection", "./runtime/kafkasink", "github.com/IBM/sarama", "the same behind every door"},
		{"./functions/order-paid/bootstrap", "./runtime/boot", "./runtime/eventstore/eventstoretest", "no test code"},
		{"./functions/order-paid/bootstrap", "", "./runtime/consumergroup", "names its functions"},
		{"./functions/order-paid/bootstrap", "./runtime/boot", "./runtime/runtimetest", "no test code"},
		{"./functions/order-paid/bootstrap", "./runtime/boot", "testing", "no test code"},
		{"./functions/order-paid/bootstrap", "example.org/x", "github.com/stretchr/testify/assert", "no test code"},
		{"./functions/order-paid", "", "./functions/order-created", "never another function"},
		{"./functions/order-paid", "", "./runtime/pipeline", "never another function"},
		{"./functions/order-paid", "", "github.com/danielgtaylor/huma/v2", "never another function"},
		{"./functions/order-api", "", "./functions/order-paid", "never another function"},
		{"./functions/order-api", "", "modernc.org/sqlite", "only the stores know"},
		{"./functions/order-paid", "", "github.com/wneessen/go-mail", "never another function"},
		{"./functions/order-paid", "", "github.com/cloudevents/sdk-go/v2/client", "never another function"},
		{"./functions/order-paid/internal/x", "", "./functions/order-created", "never another function"},
		{"./functions/order-paid", "./cloudevents/order", "github.com/aws/aws-lambda-go/events", "cannot tell where it runs"},
		{"./functions/internal/request", "", "./functions/order-created", "never another function"},
		{"./functions/internal/order", "", "./functions/internal/request", "nothing is read or written"},
		{"./functions/internal/order", "", "math/rand/v2", "nothing is read or written"},
		{"./functions/internal/order", "", "os", "nothing is read or written"},
		{"./functions/internal/orderstore", "", "./functions/internal/request", "who asks for changes"},
		{"./functions/order-process", "", "./runtime/outbox", "never another function"},
		{"./infra", "", "./runtime/config", "read nobody"},
	}
	for _, test := range tests {
		t.Run(test.from+" to "+test.to, func(t *testing.T) {
			t.Parallel()
			graph := imports{test.from: {test.to}, test.to: nil}
			if test.by != "" {
				graph = imports{test.from: {test.by}, test.by: {test.to}, test.to: nil}
			}
			violations := check(graph, allArrows(graph))
			if !slices.ContainsFunc(violations, func(v string) bool {
				return strings.HasPrefix(v, test.from+" ") && strings.Contains(v, test.to) && strings.Contains(v, test.why)
			}) {
				t.Errorf("want a violation that says %q, got %q", test.why, violations)
			}
		})
	}
}

// What the house is made of is allowed.
func TestArrowsAllow(t *testing.T) {
	t.Parallel()
	graph := imports{
		"./functions/order-paid":                     {"context", events, "./cloudevents/order", "./functions/internal/request", "./runtime/function"},
		"./functions/order-paid/bootstrap":           {"./functions/order-paid", "./runtime/boot"},
		"./functions/order-paid/internal/x":          {"net/http"},
		"./functions/internal/order":                 {"time", "./cloudevents/order", "./runtime/function", "github.com/go-json-experiment/json"},
		"./functions/notification-requested":         {"github.com/wneessen/go-mail", "./runtime/config"},
		"./functions/order-api":                      {"net/http", "github.com/danielgtaylor/huma/v2/adapters/humago", "./functions/internal/orderstore", "./runtime/database"},
		"./functions/notification-service/bootstrap": {"./functions/order-paid", "./functions/order-created", "./runtime/boot"},
		"./runtime/idempotency":                      {"database/sql", "github.com/redis/go-redis/v9", "./runtime/pipeline", "./runtime/database"},
		"./runtime/database":                         {"database/sql", "./runtime/config", "github.com/jackc/pgx/v5", "modernc.org/sqlite", "github.com/pressly/goose/v3"},
		"./runtime/eventstore":                       {"database/sql", "./runtime/database", "./runtime/function", "./runtime/internal/eventrow"},
		"./runtime/projection":                       {"database/sql", "./runtime/database", "./runtime/eventstore", "./runtime/function", "github.com/go-json-experiment/json"},
		"./functions/order-view":                     {"./functions/internal/orderview", "./runtime/database", "./runtime/projection"},
		"./runtime/outbox":                           {"database/sql", "./runtime/database", "./runtime/function", "./runtime/internal/eventrow", "./cloudevents/kafkabinding"},
		"./runtime/boot":                             {"./runtime/idempotency", "./runtime/consumergroup", "./runtime/msktrigger", "github.com/aws/aws-lambda-go/lambda"},
		"./runtime/consumergroup":                    {"github.com/IBM/sarama", "./runtime/pipeline"},
		"./localdev/broker":                          {"github.com/twmb/franz-go/pkg/kfake", "./runtime/kafkaclient", "./infra", "./runtime/chaos"},
		"./infra/internal/generate":                  {"./localdev/catalog", "./infra"},
	}
	if violations := check(graph, allArrows(graph)); len(violations) > 0 {
		t.Error(strings.Join(violations, "\n"))
	}
}

// allArrows returns arrows and those of each function in graph.
func allArrows(graph imports) []arrow {
	all := slices.Clone(arrows)
	names := map[string]bool{}
	for pkg := range graph {
		if below, ok := strings.CutPrefix(pkg, "./functions/"); ok {
			name, _, _ := strings.Cut(below, "/")
			names[name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		all = append(all, functionArrows(name)...)
	}
	return all
}

// check returns a sentence for each import that a rule forbids.
func check(graph imports, rules []arrow) []string {
	var violations []string
	for _, rule := range rules {
		for _, pkg := range slices.Sorted(maps.Keys(graph)) {
			if matches(rule.in, pkg) && !matches(rule.except, pkg) {
				violations = append(violations, rule.check(graph, pkg)...)
			}
		}
	}
	return violations
}

func (a arrow) check(graph imports, pkg string) []string {
	var violations []string
	for _, imported := range graph[pkg] {
		if matches(a.never, imported) || (a.only != nil && !isStandard(imported) && !matches(a.only, imported)) {
			violations = append(violations, fmt.Sprintf("%s must not import %s: %s", pkg, imported, a.why))
		}
	}
	if chain := graph.path(pkg, a.unreachable); chain != nil {
		violations = append(violations, fmt.Sprintf("%s must not depend on %s (%s): %s",
			pkg, chain[len(chain)-1], strings.Join(chain, " -> "), a.why))
	}
	return violations
}

// path returns the shortest chain of imports from a package to one of targets, or nil.
func (g imports) path(from string, targets []string) []string {
	queue, seen := [][]string{{from}}, map[string]bool{from: true}
	for len(queue) > 0 {
		chain := queue[0]
		queue = queue[1:]
		for _, next := range g[chain[len(chain)-1]] {
			if seen[next] {
				continue
			}
			seen[next] = true
			longer := append(slices.Clone(chain), next)
			if matches(targets, next) {
				return longer
			}
			queue = append(queue, longer)
		}
	}
	return nil
}

func matches(patterns []string, pkg string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool { return compile(pattern).MatchString(pkg) })
}

func compile(pattern string) *regexp.Regexp {
	expression := strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, `[^/]+`)
	if folder, ok := strings.CutSuffix(expression, `/\.\.\.`); ok {
		expression = folder + `(/.*)?`
	}
	return regexp.MustCompile(`^` + expression + `$`)
}

// isStandard reports whether pkg is in the standard library: the first part of its path is no domain.
func isStandard(pkg string) bool {
	first, _, _ := strings.Cut(pkg, "/")
	return !strings.Contains(first, ".")
}

// readImports asks the go command for every package of this module and all that they depend on.
func readImports(t *testing.T) imports {
	t.Helper()
	command := exec.CommandContext(t.Context(), "go", "list", "-deps", "-json=ImportPath,Imports", "./...")
	command.Dir = ".."
	var problems strings.Builder
	command.Stderr = &problems
	output, err := command.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", command, err, &problems)
	}
	graph := imports{}
	decoder := json.NewDecoder(bytes.NewReader(output))
	for {
		var pkg struct {
			ImportPath string
			Imports    []string
		}
		err := decoder.Decode(&pkg)
		if errors.Is(err, io.EOF) {
			return graph
		}
		if err != nil {
			t.Fatalf("%v: %v", command, err)
		}
		for i := range pkg.Imports {
			pkg.Imports[i] = short(pkg.Imports[i])
		}
		graph[short(pkg.ImportPath)] = pkg.Imports
	}
}

// short writes "." for the root of this module.
func short(pkg string) string {
	if below, ok := strings.CutPrefix(pkg, "github.com/millrace/millrace/"); ok {
		return "./" + below
	}
	return pkg
}
