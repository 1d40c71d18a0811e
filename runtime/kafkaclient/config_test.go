package kafkaclient_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/IBM/sarama"

	"github.com/millrace/millrace/runtime/config"
	"github.com/millrace/millrace/runtime/kafkaclient"
)

func TestValidate(t *testing.T) {
	t.Parallel()
	remote := []string{"kafka-1.example:9092"}
	for name, test := range map[string]struct {
		config kafkaclient.Config
		// want are the words that the error must hold; none = valid.
		want []string
	}{
		"brokers alone":        {config: kafkaclient.Config{Brokers: []string{"127.0.0.1:9092", "[::1]:9092", "kafka:9092"}}},
		"no broker":            {want: []string{"KAFKA_BROKERS", "1 to 100"}},
		"too many brokers":     {config: kafkaclient.Config{Brokers: make([]string, 101)}, want: []string{"KAFKA_BROKERS", "101"}},
		"broker without port":  {config: kafkaclient.Config{Brokers: []string{"kafka"}}, want: []string{"KAFKA_BROKERS", `"kafka"`}},
		"broker without host":  {config: kafkaclient.Config{Brokers: []string{":9092"}}, want: []string{"KAFKA_BROKERS"}},
		"port zero":            {config: kafkaclient.Config{Brokers: []string{"kafka:0"}}, want: []string{"KAFKA_BROKERS"}},
		"port too large":       {config: kafkaclient.Config{Brokers: []string{"kafka:65536"}}, want: []string{"KAFKA_BROKERS"}},
		"address with a path":  {config: kafkaclient.Config{Brokers: []string{"kafka:9092/x"}}, want: []string{"KAFKA_BROKERS"}},
		"two malformed":        {config: kafkaclient.Config{Brokers: []string{"a", "b:1", "c"}}, want: []string{`"a"`, `"c"`}},
		"TLS":                  {config: kafkaclient.Config{Brokers: remote, TLS: true, TLSCAFile: "ca.pem", TLSCertFile: "c.pem", TLSKeyFile: "k.pem"}},
		"authority, no TLS":    {config: kafkaclient.Config{Brokers: remote, TLSCAFile: "ca.pem"}, want: []string{"KAFKA_TLS_CA_FILE", "KAFKA_TLS must be true"}},
		"certificate, no key":  {config: kafkaclient.Config{Brokers: remote, TLS: true, TLSCertFile: "c.pem"}, want: []string{"KAFKA_TLS_KEY_FILE"}},
		"SASL over TLS":        {config: kafkaclient.Config{Brokers: remote, TLS: true, SASLMechanism: "SCRAM-SHA-512", SASLUsername: "u", SASLPassword: config.NewSecret("canary")}},
		"SASL on loopback":     {config: kafkaclient.Config{Brokers: []string{"localhost:9092", "127.0.0.2:9092"}, SASLMechanism: "PLAIN", SASLUsername: "u", SASLPassword: config.NewSecret("canary")}},
		"SASL in clear text":   {config: kafkaclient.Config{Brokers: remote, SASLMechanism: "PLAIN", SASLUsername: "u", SASLPassword: config.NewSecret("canary")}, want: []string{"KAFKA_TLS", "KAFKA_SASL_ALLOW_PLAINTEXT"}},
		"one broker remote":    {config: kafkaclient.Config{Brokers: []string{"127.0.0.1:9092", remote[0]}, SASLMechanism: "PLAIN", SASLUsername: "u", SASLPassword: config.NewSecret("canary")}, want: []string{"KAFKA_TLS"}},
		"clear text, allowed":  {config: kafkaclient.Config{Brokers: remote, SASLMechanism: "PLAIN", SASLUsername: "u", SASLPassword: config.NewSecret("canary"), SASLAllowPlaintext: true}},
		"unknown mechanism":    {config: kafkaclient.Config{Brokers: remote, TLS: true, SASLMechanism: "GSSAPI", SASLUsername: "u", SASLPassword: config.NewSecret("canary")}, want: []string{"KAFKA_SASL_MECHANISM", "GSSAPI", "SCRAM-SHA-256"}},
		"no user":              {config: kafkaclient.Config{Brokers: remote, TLS: true, SASLMechanism: "PLAIN", SASLPassword: config.NewSecret("canary")}, want: []string{"KAFKA_SASL_USERNAME"}},
		"no password":          {config: kafkaclient.Config{Brokers: remote, TLS: true, SASLMechanism: "PLAIN", SASLUsername: "u"}, want: []string{"KAFKA_SASL_PASSWORD"}},
		"user, no mechanism":   {config: kafkaclient.Config{Brokers: remote, SASLUsername: "u"}, want: []string{"KAFKA_SASL_MECHANISM"}},
		"problems of all kind": {config: kafkaclient.Config{TLSCertFile: "c.pem", SASLMechanism: "PLAIN"}, want: []string{"KAFKA_BROKERS", "KAFKA_TLS", "KAFKA_SASL_USERNAME", "KAFKA_SASL_PASSWORD"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := test.config.Validate()
			if (err != nil) != (len(test.want) > 0) {
				t.Fatalf("got %v, want an error that holds %q", err, test.want)
			}
			for _, word := range test.want {
				if !strings.Contains(err.Error(), word) {
					t.Errorf("%q does not hold %q", err, word)
				}
			}
			if err != nil && strings.Contains(err.Error(), "canary") {
				t.Errorf("the password is in %q", err)
			}
		})
	}
}

func TestLoad(t *testing.T) {
	t.Parallel()
	environment := map[string]string{
		"KAFKA_BROKERS":              "kafka-1:9093, kafka-2:9093",
		"KAFKA_TLS":                  "true",
		"KAFKA_TLS_CA_FILE":          "ca.pem",
		"KAFKA_TLS_CERT_FILE":        "cert.pem",
		"KAFKA_TLS_KEY_FILE":         "key.pem",
		"KAFKA_SASL_MECHANISM":       "SCRAM-SHA-256",
		"KAFKA_SASL_USERNAME":        "user",
		"KAFKA_SASL_PASSWORD":        "secret",
		"KAFKA_SASL_ALLOW_PLAINTEXT": "true",
	}
	var got kafkaclient.Config
	err := config.Load(func(key string) (string, bool) { v, ok := environment[key]; return v, ok }, &got)
	if err != nil {
		t.Fatal(err)
	}
	if got.SASLPassword.Reveal() != "secret" || len(got.Brokers) != 2 || got.Brokers[1] != "kafka-2:9093" {
		t.Errorf("loaded %+v", got)
	}
	if !got.TLS || got.TLSCAFile != "ca.pem" || got.TLSCertFile != "cert.pem" || got.TLSKeyFile != "key.pem" ||
		got.SASLMechanism != "SCRAM-SHA-256" || got.SASLUsername != "user" || !got.SASLAllowPlaintext {
		t.Errorf("loaded %+v", got)
	}

	var defaults kafkaclient.Config
	if err := config.Load(func(string) (string, bool) { return "", false }, &defaults); err != nil {
		t.Fatal(err)
	}
	if len(defaults.Brokers) != 1 || defaults.Brokers[0] != "127.0.0.1:9092" {
		t.Errorf("the default brokers are %v", defaults.Brokers)
	}
}

func TestSarama(t *testing.T) {
	t.Parallel()
	conf, err := kafkaclient.Config{
		Brokers: []string{"127.0.0.1:9092"}, SASLMechanism: "SCRAM-SHA-256", SASLUsername: "u", SASLPassword: config.NewSecret("pass word"),
	}.Sarama("order-created")
	if err != nil {
		t.Fatal(err)
	}
	if err := conf.Validate(); err != nil {
		t.Errorf("sarama refuses the settings: %v", err)
	}
	if conf.ClientID != "order-created" || conf.Metadata.Full || conf.Metadata.AllowAutoTopicCreation || conf.Version != sarama.MaxVersion {
		t.Errorf("client %s, all metadata %t, automatic topics %t, version %s",
			conf.ClientID, conf.Metadata.Full, conf.Metadata.AllowAutoTopicCreation, conf.Version)
	}
	if got := conf.Net.SASL.Password; got != "pass word" {
		t.Errorf("the password is %q", got)
	}
	if _, err := conf.Net.Proxy.Dialer.Dial("tcp", "192.0.2.1:9092"); err == nil || !strings.Contains(err.Error(), "KAFKA_TLS") {
		t.Errorf("credentials in clear text would leave the machine: %v", err)
	}
}

func TestSaramaFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, content string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	missing := filepath.Join(dir, "missing")
	text := write("text", "canary")
	empty := write("empty", "")
	large := write("large", strings.Repeat("x", 4<<20+1))
	loopback := []string{"127.0.0.1:9092"}

	for name, test := range map[string]struct {
		config kafkaclient.Config
		want   string
	}{
		"invalid":            {kafkaclient.Config{}, "KAFKA_BROKERS"},
		"authority missing":  {kafkaclient.Config{Brokers: loopback, TLS: true, TLSCAFile: missing}, "KAFKA_TLS_CA_FILE"},
		"authority is text":  {kafkaclient.Config{Brokers: loopback, TLS: true, TLSCAFile: text}, "KAFKA_TLS_CA_FILE"},
		"authority is large": {kafkaclient.Config{Brokers: loopback, TLS: true, TLSCAFile: large}, "KAFKA_TLS_CA_FILE"},
		"certificate text":   {kafkaclient.Config{Brokers: loopback, TLS: true, TLSCertFile: text, TLSKeyFile: text}, "KAFKA_TLS_CERT_FILE"},
		"key missing":        {kafkaclient.Config{Brokers: loopback, TLS: true, TLSCertFile: text, TLSKeyFile: missing}, "KAFKA_TLS_KEY_FILE"},
		"key empty":          {kafkaclient.Config{Brokers: loopback, TLS: true, TLSCertFile: text, TLSKeyFile: empty}, "KAFKA_TLS_KEY_FILE"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := test.config.Sarama("test")
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error about %s", err, test.want)
			}
			if err != nil && strings.Contains(err.Error(), "canary") {
				t.Errorf("a file's content is in %q", err)
			}
		})
	}
}
