package kafkaclient_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/IBM/sarama"
	"github.com/aws/aws-msk-iam-sasl-signer-go/signer"
	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/millrace/millrace/runtime/config"
	"github.com/millrace/millrace/runtime/kafkaclient"
)

// iam returns the settings of keys with which AWS_MSK_IAM can be used.
func iam(session string) kafkaclient.Config {
	return kafkaclient.Config{
		Brokers: []string{"b-1.mill.example:9098"}, TLS: true, SASLMechanism: "AWS_MSK_IAM",
		IAM: kafkaclient.IAM{
			Region: "eu-west-1", AccessKeyID: "AKIDEXAMPLE", SecretKey: config.NewSecret("canary+/secret="), SessionToken: config.NewSecret(session),
		},
	}
}

// query returns what a token of c asks for.
func query(t *testing.T, c kafkaclient.Config) (*url.URL, error) {
	t.Helper()
	conf, err := c.Sarama("test")
	if err != nil {
		t.Fatal(err)
	}
	if err := conf.Validate(); err != nil {
		t.Fatal(err)
	}
	token, err := conf.Net.SASL.TokenProvider.Token()
	if err != nil {
		return nil, err
	}
	text, err := base64.RawURLEncoding.DecodeString(token.Token)
	if err != nil {
		t.Fatal(err)
	}
	return url.Parse(string(text))
}

// Time stands still in the bubble, so that AWS's own signer signs at the same moment.
func TestTokensAreThoseOfTheSignerOfAWS(t *testing.T) {
	t.Parallel()
	for name, session := range map[string]string{"keys of a user": "", "keys of a role": "IQoJb3JpZ2lu//a+b=c d~e*f"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				time.Sleep(36 * time.Hour)
				c := iam(session)
				got, err := query(t, c)
				if err != nil {
					t.Fatal(err)
				}
				token, _, err := signer.GenerateAuthTokenFromCredentialsProvider(t.Context(), c.IAM.Region,
					aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
						return aws.Credentials{AccessKeyID: c.IAM.AccessKeyID, SecretAccessKey: c.IAM.SecretKey.Reveal(), SessionToken: session}, nil
					}))
				if err != nil {
					t.Fatal(err)
				}
				text, err := base64.RawURLEncoding.DecodeString(token)
				if err != nil {
					t.Fatal(err)
				}
				want, err := url.Parse(string(text))
				if err != nil {
					t.Fatal(err)
				}
				if got.Host != want.Host || got.Path != want.Path || got.Scheme != want.Scheme {
					t.Errorf("asks %s, want %s", got, want)
				}
				gotQuery, wantQuery := got.Query(), want.Query()
				// Each client tells its own name.
				gotQuery.Del("User-Agent")
				wantQuery.Del("User-Agent")
				if gotQuery.Encode() != wantQuery.Encode() {
					t.Errorf("got  %s\nwant %s", gotQuery.Encode(), wantQuery.Encode())
				}
			})
		})
	}
}

func TestIAMProblems(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(*kafkaclient.Config)
		want   []string
	}{
		"nothing missing":  {func(*kafkaclient.Config) {}, nil},
		"no TLS":           {func(c *kafkaclient.Config) { c.TLS = false }, []string{"KAFKA_TLS must be true"}},
		"nothing at all":   {func(c *kafkaclient.Config) { c.IAM = kafkaclient.IAM{} }, []string{"AWS_REGION must be set", "AWS_ACCESS_KEY_ID must be set", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"}},
		"half of the keys": {func(c *kafkaclient.Config) { c.IAM.SecretKey = config.Secret{} }, []string{"AWS_SECRET_ACCESS_KEY must be set"}},
		"ECS":              {func(c *kafkaclient.Config) { c.IAM = kafkaclient.IAM{Region: "eu-west-1", RelativeURI: "/v2/keys"} }, nil},
		"EKS": {func(c *kafkaclient.Config) {
			c.IAM = kafkaclient.IAM{Region: "eu-west-1", FullURI: "http://169.254.170.23/v1/credentials"}
		}, nil},
		"EKS over IPv6": {func(c *kafkaclient.Config) {
			c.IAM = kafkaclient.IAM{Region: "eu-west-1", FullURI: "http://[fd00:ec2::23]/v1/credentials"}
		}, nil},
		"keys from elsewhere": {func(c *kafkaclient.Config) {
			c.IAM = kafkaclient.IAM{Region: "eu-west-1", FullURI: "http://keys.example/"}
		}, []string{"AWS_CONTAINER_CREDENTIALS_FULL_URI"}},
		"keys from no address": {func(c *kafkaclient.Config) { c.IAM = kafkaclient.IAM{Region: "eu-west-1", FullURI: "file:///keys"} }, []string{"AWS_CONTAINER_CREDENTIALS_FULL_URI"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := iam("")
			test.change(&c)
			err := c.Validate()
			if (err != nil) != (len(test.want) > 0) {
				t.Fatalf("got %v, want an error that holds %q", err, test.want)
			}
			for _, word := range test.want {
				if !strings.Contains(err.Error(), word) {
					t.Errorf("%q does not hold %q", err, word)
				}
			}
			if err != nil && strings.Contains(err.Error(), "canary") {
				t.Errorf("the key is in %q", err)
			}
		})
	}
}

// keys is a key server that gives keys of a lifetime to who shows a token.
func keys(t *testing.T, lifetime time.Duration, token *atomic.Value) (string, *atomic.Int64) {
	t.Helper()
	var asked atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != token.Load() {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		fmt.Fprintf(w, `{"AccessKeyId":"AKID%d","SecretAccessKey":"canary","Token":"session","Expiration":%q,"AccountId":"1"}`,
			asked.Add(1), time.Now().Add(lifetime).UTC().Format(time.RFC3339))
	}))
	t.Cleanup(server.Close)
	return server.URL, &asked
}

func TestKeysOfAContainer(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		lifetime time.Duration
		asked    int64
	}{
		"good for hours":   {6 * time.Hour, 1},
		"about to run out": {time.Minute, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var token atomic.Value
			token.Store("one")
			address, asked := keys(t, test.lifetime, &token)
			file := filepath.Join(t.TempDir(), "token")
			if err := os.WriteFile(file, []byte("one\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			c := iam("")
			c.IAM = kafkaclient.IAM{Region: "eu-west-1", FullURI: address, AuthorizationFile: file, Authorization: config.NewSecret("old")}
			conf, err := c.Sarama("test")
			if err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if _, err := conf.Net.SASL.TokenProvider.Token(); err != nil {
					t.Fatal(err)
				}
			}
			if asked.Load() != test.asked {
				t.Errorf("asked %d times, want %d", asked.Load(), test.asked)
			}
			got, err := query(t, c)
			if err != nil || got.Query().Get("X-Amz-Security-Token") != "session" || !strings.HasPrefix(got.Query().Get("X-Amz-Credential"), "AKID") {
				t.Errorf("token %v, %v", got, err)
			}
		})
	}
}

func TestAKeyServerThatGivesNoKeys(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ answer, want string }{
		"refused":         {"", "403"},
		"not JSON":        {"canary", "something else than keys"},
		"without a key":   {`{"SecretAccessKey":"canary"}`, "something else than keys"},
		"without an end":  {`{"AccessKeyId":"a","SecretAccessKey":"canary"`, "something else than keys"},
		"larger than any": {`{"AccessKeyId":"` + strings.Repeat("a", 64<<10) + `","SecretAccessKey":"canary"}`, "something else than keys"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if test.answer == "" {
					w.WriteHeader(http.StatusForbidden)
				}
				fmt.Fprint(w, test.answer)
			}))
			t.Cleanup(server.Close)
			c := iam("")
			c.IAM = kafkaclient.IAM{Region: "eu-west-1", FullURI: server.URL}
			_, err := query(t, c)
			mustHold(t, err, test.want, "AWS_MSK_IAM", "container's credentials")
			if strings.Contains(err.Error(), "canary") {
				t.Errorf("the key is in %q", err)
			}
		})
	}
}

// A broker gets the token by SASL/OAUTHBEARER.
func TestConnectIAM(t *testing.T) {
	t.Parallel()
	broker := sarama.NewMockBroker(t, 1)
	t.Cleanup(broker.Close)
	broker.SetHandlerByMap(map[string]sarama.MockResponse{
		"ApiVersionsRequest": sarama.NewMockApiVersionsResponse(t).SetApiKeys([]sarama.ApiVersionsResponseKey{
			{ApiKey: 3, MaxVersion: 7}, {ApiKey: 17, MaxVersion: 1}, {ApiKey: 36, MaxVersion: 1},
		}),
		"SaslHandshakeRequest":    sarama.NewMockSaslHandshakeResponse(t).SetEnabledMechanisms([]string{"OAUTHBEARER"}),
		"SaslAuthenticateRequest": sarama.NewMockSaslAuthenticateResponse(t),
		"MetadataRequest":         sarama.NewMockMetadataResponse(t).SetBroker(broker.Addr(), broker.BrokerID()),
	})
	c := iam("session")
	c.Brokers, c.TLS = []string{broker.Addr()}, false
	if _, err := connect(t, c); err != nil {
		t.Fatal(err)
	}
	for _, exchange := range broker.History() {
		request, ok := exchange.Request.(*sarama.SaslAuthenticateRequest)
		if !ok {
			continue
		}
		if _, token, found := strings.Cut(string(request.SaslAuthBytes), "auth=Bearer "); !found || len(token) < 100 {
			t.Errorf("authenticated with %q", request.SaslAuthBytes)
		}
		return
	}
	t.Error("nobody authenticated")
}
