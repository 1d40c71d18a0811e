package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/cloudevents/order"
)

func orderEnvelope(id string) string {
	return fmt.Sprintf(`{"eventId":"e-%[1]s","eventType":"OrderCreated","aggregateId":"order-%[1]s","version":1,`+
		`"timestamp":"2026-11-23T08:00:00.000Z","data":{"orderId":"order-%[1]s","customerId":"customer-1","amount":10,`+
		`"items":[{"productId":"prod-1","quantity":1,"price":10}]},"metadata":{"source":"shop","correlationId":"req-%[1]s"}}`, id)
}

func userRegistered(id string) string {
	return fmt.Sprintf(`{"specversion":"1.0","id":"u-%[1]s","source":"/user-service","type":"dev.millrace.user.registered.v1",`+
		`"subject":"user-%[1]s","correlationid":"req-%[1]s","data":{"userId":"user-%[1]s","email":"ada@example.com","firstName":"Ada"}}`, id)
}

// shown is a record as tail --json shows it.
type shown struct {
	Topic   string         `json:"topic"`
	Key     jsontext.Value `json:"key"`
	Headers [][2]any       `json:"headers"`
	Value   jsontext.Value `json:"value"`
	Event   *shownEvent    `json:"event"`
	Error   string         `json:"error"`
}

type shownEvent struct {
	ID   string `json:"id"`
	Type string `json:"type"`
}

// read returns the records of a topic.
func read(t *testing.T, addr, topic string) []shown {
	t.Helper()
	code, stdout, stderr := pipe(t, "", "tail", topic, "--from", "start", "--follow=false", "--json", "--kafka", addr)
	if code != 0 && code != exitNothing {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	var list []shown
	for line := range strings.Lines(stdout) {
		var r shown
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		list = append(list, r)
	}
	return list
}

func TestPublishFindsTopicKeyAndFormat(t *testing.T) {
	t.Parallel()
	addr := kafka(t)
	printed := succeed(t, orderEnvelope("1")+"\n"+userRegistered("1"), "publish", "--kafka", addr)
	lines := strings.Split(strings.TrimSuffix(printed, "\n"), "\n")
	if len(lines) != 2 || !strings.HasPrefix(lines[0], "order-events  ") || !strings.HasSuffix(lines[0], "@0  order.created.v1  e-1") ||
		!strings.HasPrefix(lines[1], "user-events  ") || !strings.HasSuffix(lines[1], "@0  user.registered.v1  u-1") {
		t.Errorf("printed %q", lines)
	}
	envelope, err := jsontext.AppendQuote(nil, orderEnvelope("1"))
	if err != nil {
		t.Fatal(err)
	}
	want := []shown{{
		Topic: "order-events", Key: jsontext.Value(`"order-1"`), Headers: [][2]any{}, Value: envelope,
		Event: &shownEvent{"e-1", order.CreatedType},
	}}
	if diff := cmp.Diff(want, read(t, addr, "order-events")); diff != "" {
		t.Error(diff)
	}
	users := read(t, addr, "user-events")
	if len(users) != 1 || string(users[0].Key) != `"user-1"` || users[0].Event == nil ||
		!strings.Contains(string(users[0].Value), `\"userId\":\"user-1\"`) || users[0].Headers[0] != [2]any{"ce_specversion", "1.0"} {
		t.Errorf("user-events has %+v", users)
	}
}

func TestPublishReadsAFileAndAnArray(t *testing.T) {
	t.Parallel()
	addr := kafka(t)
	file := filepath.Join(t.TempDir(), "events.json")
	if err := os.WriteFile(file, []byte("[\n"+orderEnvelope("1")+",\n"+orderEnvelope("2")+"]"), 0o600); err != nil {
		t.Fatal(err)
	}
	printed := succeed(t, "", "publish", file, "--json", "--kafka", addr)
	var ids []string
	for line := range strings.Lines(printed) {
		var got struct{ Topic, Key, ID, Type string }
		if err := json.Unmarshal([]byte(line), &got, json.MatchCaseInsensitiveNames(true)); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, got.Topic+" "+got.Key+" "+got.ID+" "+got.Type)
	}
	want := []string{"order-events order-1 e-1 " + order.CreatedType, "order-events order-2 e-2 " + order.CreatedType}
	if diff := cmp.Diff(want, ids); diff != "" {
		t.Error(diff)
	}
}

func TestPublishKeepsTheOrderOfAKey(t *testing.T) {
	t.Parallel()
	addr := kafka(t)
	const n = 3*publishBatch + 1
	var input strings.Builder
	for i := range n {
		input.WriteString(strings.Replace(orderEnvelope("1"), `"e-1"`, fmt.Sprintf(`"%d"`, i), 1) + "\n")
	}
	succeed(t, input.String(), "publish", "--kafka", addr)
	got := read(t, addr, "order-events")
	if len(got) != n {
		t.Fatalf("%d records, want %d", len(got), n)
	}
	for i, r := range got {
		if r.Event.ID != fmt.Sprint(i) {
			t.Fatalf("record %d is event %s", i, r.Event.ID)
		}
	}
}

func TestPublishToAnotherTopic(t *testing.T) {
	t.Parallel()
	addr := kafka(t)
	unknown := `{"specversion":"1.0","id":"1","source":"/s","type":"my.type","data":{"a":1}}`
	succeed(t, unknown, "publish", "--topic", "audit-events", "--kafka", addr)
	got := read(t, addr, "audit-events")
	if len(got) != 1 || got[0].Event.Type != "my.type" || string(got[0].Key) != "null" {
		t.Errorf("audit-events has %+v", got)
	}
}

func TestPublishRaw(t *testing.T) {
	t.Parallel()
	addr := kafka(t)
	args := []string{"publish", "--raw", "--topic", "order-events", "--kafka", addr}
	succeed(t, "\xff", args...)
	succeed(t, "", append(args, "--key", "", "--header", "a=1", "--header", "a=b=c", "--header", "n=")...)
	got := map[string]shown{}
	for _, r := range read(t, addr, "order-events") {
		r.Error = ""
		got[string(r.Key)] = r
	}
	want := map[string]shown{
		"null": {Topic: "order-events", Key: jsontext.Value("null"), Headers: [][2]any{}, Value: jsontext.Value(`{"base64":"/w=="}`)},
		`""`: {
			Topic: "order-events", Key: jsontext.Value(`""`), Value: jsontext.Value(`""`),
			Headers: [][2]any{{"a", "1"}, {"a", "b=c"}, {"n", ""}},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// What is wrong is said with its line, and then nothing at all is sent.
func TestPublishRefuses(t *testing.T) {
	t.Parallel()
	addr := kafka(t)
	noData := strings.Replace(orderEnvelope("9"), `"customerId":"customer-1",`, "", 1)
	for name, test := range map[string]struct {
		input string
		want  []string
	}{
		"nothing":            {" \n", []string{"standard input holds no events"}},
		"not JSON":           {"hello", []string{"line 1 (item 1): is not JSON", "column 1"}},
		"half an envelope":   {`{"eventId":"1","eventType":"OrderCreated"}`, []string{"line 1 (item 1): JSON envelope: member aggregateId is missing"}},
		"half a CloudEvent":  {`{"specversion":"1.0","id":"1","source":"/s"}`, []string{`line 1 (item 1): CloudEvent: attribute "type" is missing`}},
		"old specversion":    {strings.Replace(userRegistered("1"), `"1.0"`, `"0.3"`, 1), []string{"specversion", "0.3"}},
		"neither":            {`{"a":1}`, []string{"neither a CloudEvent"}},
		"unknown type":       {`{"specversion":"1.0","id":"1","source":"/s","type":"my.type"}`, []string{`type "my.type" is not in the catalogue`, "--topic"}},
		"against its schema": {orderEnvelope("1") + "\n\n" + noData, []string{"1 of 2 events cannot be published, nothing was sent", "line 3 (item 2): data of dev.millrace.order.created.v1 does not fit its schema: /customerId is missing", "--keep-going"}},
		"2 MiB":              {strings.Replace(orderEnvelope("1"), "customer-1", strings.Repeat("c", 2<<20), 1), []string{"line 1 (item 1): has 2097", "may have 1048576"}},
		"many":               {strings.Repeat("{}\n", 50), []string{"line 20 (item 20)", "and 30 more"}},
		"controls":           {`{"specversion":"1.0","id":"1","source":"/s","type":"\u001b[2J"}`, []string{"type"}},
	} {
		code, stdout, stderr := pipe(t, test.input, "publish", "--kafka", addr)
		if code != exitFailed || stdout != "" || !strings.Contains(stderr, "\nTry: ") || strings.Contains(stderr, "\x1b") {
			t.Errorf("%s: exit code %d, %s\n%s", name, code, stdout, stderr)
		}
		for _, want := range test.want {
			if !strings.Contains(stderr, want) {
				t.Errorf("%s: %q does not say %q", name, stderr, want)
			}
		}
	}
	for _, topic := range []string{"order-events", "user-events"} {
		if got := read(t, addr, topic); len(got) > 0 {
			t.Errorf("%s has %d records", topic, len(got))
		}
	}
}

func TestPublishRefusesWhatIsTooLong(t *testing.T) {
	t.Parallel()
	code, _, stderr := pipe(t, strings.Repeat(" ", 64<<20+1), "publish", "--kafka", "127.0.0.1:1")
	if code != exitFailed || !strings.Contains(stderr, "more than 67108864 bytes") {
		t.Errorf("exit code %d, %s", code, stderr)
	}
}

func TestPublishOfAFileThatIsMissing(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "nothing.json")
	if code, _, stderr := pipe(t, "", "publish", file); code != exitFailed || !strings.Contains(stderr, file) {
		t.Errorf("exit code %d, %s", code, stderr)
	}
}

func TestPublishKeepsGoing(t *testing.T) {
	t.Parallel()
	addr := kafka(t)
	input := orderEnvelope("1") + "\n{\"eventId\n" + `{"eventId":"2"}` + "\n" + orderEnvelope("3")
	code, stdout, stderr := pipe(t, input, "publish", "--keep-going", "--kafka", addr)
	if code != exitPartly || strings.Count(stdout, "\n") != 2 {
		t.Errorf("exit code %d, printed %s", code, stdout)
	}
	for _, want := range []string{"2 of 4 events were published", "line 2 (item 2): is not JSON", "line 3 (item 3): JSON envelope"} {
		if !strings.Contains(stderr, want) {
			t.Errorf("%q does not say %q", stderr, want)
		}
	}
	if got := read(t, addr, "order-events"); len(got) != 2 {
		t.Errorf("order-events has %d records", len(got))
	}
}

func TestPublishWithoutTheSchema(t *testing.T) {
	t.Parallel()
	addr := kafka(t)
	succeed(t, `{"eventId":"1","eventType":"OrderCreated","aggregateId":"o"}`, "publish", "--no-validate", "--kafka", addr)
	if got := read(t, addr, "order-events"); len(got) != 1 {
		t.Errorf("order-events has %d records", len(got))
	}
}

// An event that the broker refuses does not stop the others, with --keep-going.
func TestPublishReportsWhatTheBrokerRefuses(t *testing.T) {
	t.Parallel()
	addr := kafka(t)
	args := []string{"publish", "--raw", "--topic", "order-events", "--kafka", addr}
	var noise strings.Builder
	for i := range 1 << 19 {
		fmt.Fprintf(&noise, "%07x", uint32(i)*2654435761>>4)
	}
	code, stdout, stderr := pipe(t, noise.String(), args...)
	if code != exitFailed || stdout != "" || !strings.Contains(stderr, "topic order-events: ") || !strings.Contains(stderr, "MESSAGE_TOO_LARGE") {
		t.Errorf("exit code %d, %s%s", code, stdout, stderr)
	}
}

// Who ends it between two batches is told how far it came.
func TestPublishIsInterruptedWhileItSends(t *testing.T) {
	t.Parallel()
	addr := kafka(t)
	ctx, cancel := context.WithCancel(t.Context())
	var stderr bytes.Buffer
	input := strings.NewReader(strings.Repeat(orderEnvelope("1")+"\n", 2*publishBatch))
	code := run(ctx, []string{"publish", "--kafka", addr}, input, writerFunc(func(p []byte) (int, error) {
		cancel()
		return len(p), nil
	}), &stderr)
	if code != exitPartly || !strings.Contains(stderr.String(), "500 of 1000 events were published") {
		t.Errorf("exit code %d, %s", code, &stderr)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// Whoever reads what is printed may go away.
func TestPublishCannotPrint(t *testing.T) {
	t.Parallel()
	addr := kafka(t)
	var stderr bytes.Buffer
	code := run(t.Context(), []string{"publish", "--kafka", addr}, strings.NewReader(orderEnvelope("1")), writerFunc(func([]byte) (int, error) {
		return 0, errors.New("the pipe is closed")
	}), &stderr)
	if code != exitPartly || !strings.Contains(stderr.String(), "1 of 1 events were published") || !strings.Contains(stderr.String(), "the pipe is closed") {
		t.Errorf("exit code %d, %s", code, &stderr)
	}
}

func TestPublishIsInterruptedWhileItReads(t *testing.T) {
	t.Parallel()
	in, out := io.Pipe()
	s := begin(t, in, "publish")
	if _, err := io.WriteString(out, "{"); err != nil {
		t.Fatal(err)
	}
	s.interrupt()
	if code := s.end(t); code != exitInterrupted || s.stderr.String() != "millrace: interrupted\n" {
		t.Errorf("exit code %d, %s", code, &s.stderr)
	}
	out.Close()
}
