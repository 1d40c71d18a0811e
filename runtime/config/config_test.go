package config_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/millrace/millrace/runtime/config"
)

func environment(variables map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		value, ok := variables[name]
		return value, ok
	}
}

type everyKind struct {
	Text     string        `env:"TEXT, default=some text" min:"2" max:"10"`
	Word     string        `env:"WORD, default=info" oneof:"debug|info"`
	Brokers  []string      `env:"BROKERS, default=one:9092,two:9092" min:"1" max:"3"`
	Colours  []string      `env:"COLOURS" oneof:"red|blue"`
	Switch   bool          `env:"SWITCH, default=true"`
	Count    int           `env:"COUNT, default=5" min:"1" max:"100"`
	Small    int8          `env:"SMALL"`
	Port     uint16        `env:"PORT, default=9092" min:"1"`
	Big      int64         `env:"BIG"`
	Ratio    float64       `env:"RATIO, default=0.5" min:"0" max:"1"`
	Any      float32       `env:"ANY"`
	Wait     time.Duration `env:"WAIT, default=1s" min:"10ms" max:"1m"`
	Level    slog.Level    `env:"LEVEL, default=WARN"`
	Password config.Secret `env:"PASSWORD" min:"8"`
	Untagged chan int
}

func TestLoadDefaults(t *testing.T) {
	t.Parallel()
	var got everyKind
	if err := config.Load(environment(nil), &got); err != nil {
		t.Fatal(err)
	}
	want := everyKind{
		Text: "some text", Word: "info", Brokers: []string{"one:9092", "two:9092"}, Switch: true, Count: 5, Port: 9092,
		Ratio: 0.5, Wait: time.Second, Level: slog.LevelWarn,
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(config.Secret{})); diff != "" {
		t.Error(diff)
	}
}

func TestLoadOneValue(t *testing.T) {
	t.Parallel()
	text := func(c everyKind) any { return c.Text }
	word := func(c everyKind) any { return c.Word }
	brokers := func(c everyKind) any { return strings.Join(c.Brokers, "+") }
	colours := func(c everyKind) any { return strings.Join(c.Colours, "+") }
	switched := func(c everyKind) any { return c.Switch }
	count := func(c everyKind) any { return c.Count }
	small := func(c everyKind) any { return c.Small }
	port := func(c everyKind) any { return c.Port }
	big := func(c everyKind) any { return c.Big }
	ratio := func(c everyKind) any { return c.Ratio }
	wait := func(c everyKind) any { return c.Wait }
	level := func(c everyKind) any { return c.Level }
	password := func(c everyKind) any { return c.Password.Reveal() }

	tests := []struct {
		name, variable, value string
		read                  func(everyKind) any
		want                  any
		problem               string
	}{
		{"a text", "TEXT", "abc", text, "abc", ""},
		{"spaces of a text are kept", "TEXT", " a ", text, " a ", ""},
		{"characters are counted, not bytes", "TEXT", "ääääääääää", text, "ääääääääää", ""},
		{"a text that is too long", "TEXT", "12345678901", text, "12345678901", "TEXT must be a text of 2 to 10 characters"},
		{"an empty text is not the default", "TEXT", "", text, "", "TEXT must be a text of 2 to 10 characters"},
		{"a word", "WORD", "debug", word, "debug", ""},
		{"another word", "WORD", "INFO", word, "INFO", "WORD must be one of debug, info"},
		{"an empty word", "WORD", "", word, "", "WORD must be one of debug, info"},
		{"a list", "BROKERS", "a, b,c", brokers, "a+b+c", ""},
		{"a list that is too long", "BROKERS", "a,b,c,d", brokers, "a+b+c+d", "BROKERS must be a list of 1 to 3 items separated by commas, none of them empty"},
		{"a list with an empty item", "BROKERS", "a,,b", brokers, "a++b", "BROKERS must be a list of 1 to 3 items separated by commas, none of them empty"},
		{"an empty list is not the default", "BROKERS", "", brokers, "", "BROKERS must be a list of 1 to 3 items separated by commas, none of them empty"},
		{"a list of words", "COLOURS", "red,red", colours, "red+red", ""},
		{"a list of other words", "COLOURS", "red,pink", colours, "red+pink", "COLOURS must be a list separated by commas, each one of red, blue"},
		{"a switch", "SWITCH", "false", switched, false, ""},
		{"not a switch", "SWITCH", "off", switched, true, "SWITCH must be true or false"},
		{"a number", "COUNT", "100", count, 100, ""},
		{"spaces around a number", "COUNT", " 7\t", count, 7, ""},
		{"an empty number is unset", "COUNT", "", count, 5, ""},
		{"blanks are unset", "COUNT", "  ", count, 5, ""},
		{"below", "COUNT", "0", count, 0, "COUNT must be a whole number from 1 to 100"},
		{"above", "COUNT", "101", count, 101, "COUNT must be a whole number from 1 to 100"},
		{"not whole", "COUNT", "1.5", count, 5, "COUNT must be a whole number from 1 to 100"},
		{"beyond 64 bits", "COUNT", "99999999999999999999", count, 5, "COUNT must be a whole number from 1 to 100"},
		{"the least of its type", "SMALL", "-128", small, int8(-128), ""},
		{"beyond its type", "SMALL", "128", small, int8(0), "SMALL must be a whole number from -128 to 127"},
		{"negative, unsigned", "PORT", "-1", port, uint16(9092), "PORT must be a whole number from 1 to 65535"},
		{"beyond unsigned", "PORT", "65536", port, uint16(9092), "PORT must be a whole number from 1 to 65535"},
		{"beyond int64", "BIG", "9223372036854775808", big, int64(0), "BIG must be a whole number from -9223372036854775808 to 9223372036854775807"},
		{"a ratio", "RATIO", "1", ratio, 1.0, ""},
		{"too large a ratio", "RATIO", "1.01", ratio, 1.01, "RATIO must be a number from 0 to 1"},
		{"infinite", "ANY", "-Inf", nil, nil, "ANY must be a number"},
		{"not a number", "ANY", "NaN", nil, nil, "ANY must be a number"},
		{"a duration", "WAIT", "60s", wait, time.Minute, ""},
		{"a negative duration", "WAIT", "-1s", wait, -time.Second, "WAIT must be a duration such as 1h30m, 10s or 250ms from 10ms to 1m"},
		{"a duration without a unit", "WAIT", "30", wait, time.Second, "WAIT must be a duration such as 1h30m, 10s or 250ms from 10ms to 1m"},
		{"an endless duration", "WAIT", "9999999h", wait, time.Second, "WAIT must be a duration such as 1h30m, 10s or 250ms from 10ms to 1m"},
		{"a type that decodes itself", "LEVEL", "error", level, slog.LevelError, ""},
		{"a type that refuses", "LEVEL", "loud", level, slog.LevelWarn, "LEVEL must be a valid slog.Level"},
		{"a secret", "PASSWORD", " 12345678", password, " 12345678", ""},
		{"a short secret", "PASSWORD", "1234567", password, "1234567", "PASSWORD must be a secret of at least 8 characters"},
		{"an empty secret is unset", "PASSWORD", "", password, "", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var got everyKind
			err := config.Load(environment(map[string]string{test.variable: test.value}), &got)
			if text := textOf(err); text != test.problem {
				t.Errorf("error:\n%s\nwant:\n%s", text, test.problem)
			}
			if test.read != nil && test.read(got) != test.want {
				t.Errorf("got %v, want %v", test.read(got), test.want)
			}
		})
	}
}

func textOf(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestLoadReportsEverythingAtOnce(t *testing.T) {
	t.Parallel()
	type mail struct {
		Host string `env:"HOST, required"`
		Port int    `env:"PORT, default=587" min:"1" max:"65535"`
	}
	var first everyKind
	var second struct {
		Mail  mail   `env:", prefix=SMTP_"`
		Count int    `env:"COUNT, default=5" min:"1" max:"100"` // as in first: one problem, not two
		Name  string `env:"NAME, required"`
	}
	err := config.Load(environment(map[string]string{
		"COUNT": "many", "WAIT": "soon", "SMTP_PORT": "0", "NAME": "",
	}), &first, &second)
	want := `COUNT must be a whole number from 1 to 100
WAIT must be a duration such as 1h30m, 10s or 250ms from 10ms to 1m
SMTP_HOST is not set, must be a text
SMTP_PORT must be a whole number from 1 to 65535
NAME is empty, must be a text`
	if textOf(err) != want {
		t.Errorf("got:\n%v\nwant:\n%s", err, want)
	}
	if all, ok := errors.AsType[*config.Error](err); !ok || len(all.Problems) != 5 || all.Problems[2].Variable != "SMTP_HOST" {
		t.Errorf("not a *config.Error of five problems: %#v", err)
	}
	if _, ok := errors.AsType[config.Problem](err); !ok {
		t.Error("a config.Problem is not found with errors.As")
	}
}

func TestLoadKeepsWhatTheProgramSet(t *testing.T) {
	t.Parallel()
	target := everyKind{Count: 1000, Text: "preset"}
	if err := config.Load(environment(map[string]string{"TEXT": "given"}), &target); err != nil {
		t.Fatal(err)
	}
	if target.Count != 1000 || target.Text != "given" {
		t.Errorf("got %d and %q, want the preset count and the given text", target.Count, target.Text)
	}
}

func TestLoadDefaultFromAnotherVariable(t *testing.T) {
	t.Parallel()
	var target struct {
		Port int `env:"METRICS_PORT, default=$PORT" min:"1" max:"65535"`
	}
	if err := config.Load(environment(map[string]string{"PORT": "8080"}), &target); err != nil || target.Port != 8080 {
		t.Errorf("got %d, %v", target.Port, err)
	}
	target.Port = 0
	err := config.Load(environment(map[string]string{"PORT": "http"}), &target)
	if want := "METRICS_PORT has a default that refers to another variable, must be a whole number from 1 to 65535"; textOf(err) != want {
		t.Errorf("got %q, want %q", textOf(err), want)
	}
}

type credentials struct {
	User     string        `env:"LOGIN_NAME"`
	Password config.Secret `env:"LOGIN_PASSWORD"`
}

func (c *credentials) Validate() error {
	if (c.User == "") == c.Password.IsZero() {
		return nil
	}
	return errors.Join(
		config.Problem{Variable: "LOGIN_NAME", What: "and LOGIN_PASSWORD must be set together"},
		errors.New("a login needs\ntwo halves"),
		fmt.Errorf("%w and %w", errors.New("one"), errors.New("two")),
	)
}

func TestLoadPrefixedDefault(t *testing.T) {
	t.Parallel()
	var target struct {
		Mail struct {
			Port int `env:"PORT, default=587"`
		} `env:", prefix=SMTP_"`
	}
	err := config.Load(environment(map[string]string{"PORT": "8080"}), &target)
	if err != nil || target.Mail.Port != 587 {
		t.Errorf("got %d, %v, want the default: PORT is not SMTP_PORT", target.Mail.Port, err)
	}
}

func TestLoadAsksValidate(t *testing.T) {
	t.Parallel()
	var target struct {
		credentials     // promotes Validate: its problems are listed once all the same
		Count       int `env:"COUNT" min:"1"`
	}
	err := config.Load(environment(map[string]string{"LOGIN_NAME": "me", "COUNT": "-1"}), &target)
	want := `COUNT must be a whole number of at least 1
LOGIN_NAME and LOGIN_PASSWORD must be set together
a login needs; two halves
one and two`
	if textOf(err) != want {
		t.Errorf("got:\n%v\nwant:\n%s", err, want)
	}
}

type database struct {
	Address config.Secret `env:"DATABASE_URL"`
}

func (d *database) Validate() error {
	_, err := url.Parse(d.Address.Reveal())
	return err
}

func TestValidateCannotTellASecret(t *testing.T) {
	t.Parallel()
	var nested struct{ Database database }
	err := config.Load(environment(map[string]string{"DATABASE_URL": "postgres://me:canary@%%%"}), &nested)
	if err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("want an error without the secret, got: %v", err)
	}
}

func TestProgrammingErrorsPanic(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		target any
		want   string
	}{
		{"nil", nil, "pointer to a struct"},
		{"a struct", everyKind{}, "pointer to a struct"},
		{"a nil pointer", (*everyKind)(nil), "pointer to a struct"},
		{"a kind that cannot be filled", &struct {
			C chan int `env:"C"`
		}{}, ".C is a chan int"},
		{"a map", &struct {
			M map[string]string `env:"M"`
		}{}, ".M is a map"},
		{"bytes", &struct {
			B []byte `env:"B"`
		}{}, ".B is a []uint8"},
		{"a pointer", &struct {
			P *int `env:"P"`
		}{}, ".P is a *int"},
		{"an unexported field", &struct {
			x int `env:"X"`
		}{}, ".x has an env tag and is not exported"},
		{"no name", &struct {
			X int `env:", required"`
		}{}, ".X names no variable"},
		{"a malformed name", &struct {
			X int `env:"9-X"`
		}{}, ".X names no variable"},
		{"an unknown option", &struct {
			X int `env:"X, overwrite"`
		}{}, "unknown option"},
		{"required with a default", &struct {
			X int `env:"X, required, default=1"`
		}{}, "can have no default"},
		{"a secret with a default", &struct {
			X config.Secret `env:"X, default=hunter2"`
		}{}, "can have no default"},
		{"a default that is out of bounds", &struct {
			X int `env:"X, default=0" min:"1"`
		}{}, "the default of"},
		{"a default that cannot be read", &struct {
			X time.Duration `env:"X, default=5"`
		}{}, "the default of"},
		{"a bound that cannot be read", &struct {
			X time.Duration `env:"X" max:"5"`
		}{}, `the max of`},
		{"an empty bound", &struct {
			X int `env:"X" min:""`
		}{}, `the min of`},
		{"a negative length", &struct {
			X string `env:"X" min:"-1"`
		}{}, `the min of`},
		{"bounds the wrong way round", &struct {
			X int `env:"X" min:"2" max:"1"`
		}{}, "min above its max"},
		{"bounds of a switch", &struct {
			X bool `env:"X" min:"1"`
		}{}, "can have no min"},
		{"words of a number", &struct {
			X int `env:"X" oneof:"1|2"`
		}{}, "oneof"},
		{"an empty word", &struct {
			X string `env:"X" oneof:"a||b"`
		}{}, "oneof"},
		{"a named struct", &struct {
			X struct{} `env:"X"`
		}{}, "is a struct"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			mustPanic(t, test.want, func() { config.Describe(test.target) })
			if test.name != "a default that is out of bounds" { // Load does not need it where the variable is set
				mustPanic(t, test.want, func() { _ = config.Load(environment(map[string]string{"X": "1"}), test.target) })
			}
		})
	}
}

func mustPanic(t *testing.T, want string, f func()) {
	t.Helper()
	defer func() {
		t.Helper()
		if text := fmt.Sprint(recover()); !strings.Contains(text, want) {
			t.Errorf("panicked with %q, want %q in it", text, want)
		}
	}()
	f()
}

// Whatever stands in the environment, Load returns, and it succeeds exactly when the value is within the bounds.
func TestLoadIntegerProperty(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		raw := rapid.OneOf(
			rapid.String(),
			rapid.StringMatching(`[ ]?-?[0-9]{1,20}[ ]?`),
			rapid.Map(rapid.IntRange(-5, 105), strconv.Itoa),
		).Draw(t, "raw")
		var target everyKind
		err := config.Load(environment(map[string]string{"COUNT": raw}), &target)

		want, parseError := strconv.ParseInt(strings.TrimSpace(raw), 0, 64)
		if strings.TrimSpace(raw) == "" {
			want, parseError = 5, nil
		}
		if fine := parseError == nil && want >= 1 && want <= 100; fine != (err == nil) {
			t.Fatalf("COUNT=%q: error %v", raw, err)
		}
		if parseError == nil && int64(target.Count) != want {
			t.Fatalf("COUNT=%q: got %d", raw, target.Count)
		}
	})
}

func TestDescribe(t *testing.T) {
	t.Parallel()
	type target struct {
		Brokers  []string      `env:"KAFKA_BROKERS, default=127.0.0.1:9092" min:"1" doc:"Where the brokers are."`
		Attempts int           `env:"ATTEMPTS, default=5" min:"1" max:"100" doc:"How often a record is tried."`
		Password config.Secret `env:"PASSWORD, required" doc:"The password."`
		Name     string        `env:"SERVICE_NAME" max:"1" doc:"The name in logs."`
		Tags     []string      `env:"TAGS" min:"1" max:"1"`
	}
	preset := target{Name: "shop", Tags: []string{"a", "b"}, Password: config.NewSecret("canary")}
	got := config.Describe(&preset, &target{})
	want := []config.Variable{
		{Name: "KAFKA_BROKERS", Default: "127.0.0.1:9092", Bounds: "a list of at least 1 item separated by commas, none of them empty", Doc: "Where the brokers are."},
		{Name: "ATTEMPTS", Default: "5", Bounds: "a whole number from 1 to 100", Doc: "How often a record is tried."},
		{Name: "PASSWORD", Default: "[redacted]", Bounds: "a secret", Doc: "The password.", Required: true, Secret: true},
		{Name: "SERVICE_NAME", Default: "shop", Bounds: "a text of at most 1 character", Doc: "The name in logs."},
		{Name: "TAGS", Default: "a,b", Bounds: "a list of 1 item separated by commas, none of them empty"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
