package kafkaclient

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/IBM/sarama"
)

// iamTokens makes the tokens of the mechanism AWS_MSK_IAM, one for each connection. It implements
// [sarama.AccessTokenProvider].
type iamTokens struct {
	region      string
	credentials func(context.Context) (iamCredentials, error)
	now         func() time.Time
}

// Token implements [sarama.AccessTokenProvider].
func (t *iamTokens) Token() (*sarama.AccessToken, error) {
	ctx, cancel := context.WithTimeout(context.Background(), dialTimeout)
	defer cancel()
	c, err := t.credentials(ctx)
	if err != nil {
		return nil, fmt.Errorf("KAFKA_SASL_MECHANISM=%s: %w", mechanismIAM, err)
	}
	return &sarama.AccessToken{Token: c.token(t.region, t.now())}, nil
}

// iamCredentials are those of a role or a user.
type iamCredentials struct{ keyID, secret, session string }

// What a token is signed for.
const (
	iamService = "kafka-cluster"
	// iamSeconds is how long a token is valid: it is used at once, but clocks differ.
	iamSeconds = "900"
	iamAgent   = "millrace"
)

// token returns a request for kafka-cluster:Connect, presigned by Signature Version 4, as a broker of MSK takes it
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html, and
// github.com/aws/aws-msk-iam-sasl-signer-go, which is no part of the program: its SDK has several megabytes).
func (c iamCredentials) token(region string, at time.Time) string {
	at = at.UTC()
	stamp, day := at.Format("20060102T150405Z"), at.Format("20060102")
	scope := strings.Join([]string{day, region, iamService, "aws4_request"}, "/")
	query := url.Values{
		"Action":              {"kafka-cluster:Connect"},
		"X-Amz-Algorithm":     {"AWS4-HMAC-SHA256"},
		"X-Amz-Credential":    {c.keyID + "/" + scope},
		"X-Amz-Date":          {stamp},
		"X-Amz-Expires":       {iamSeconds},
		"X-Amz-SignedHeaders": {"host"},
	}
	if c.session != "" {
		query.Set("X-Amz-Security-Token", c.session)
	}
	host := "kafka." + region + ".amazonaws.com"
	request := strings.Join([]string{"GET", "/", encodeQuery(query), "host:" + host, "", "host", sum("")}, "\n")
	text := strings.Join([]string{"AWS4-HMAC-SHA256", stamp, scope, sum(request)}, "\n")
	query.Set("X-Amz-Signature", hex.EncodeToString(sign(c.key(day, region), text)))
	// The name of the client is not signed.
	query.Set("User-Agent", iamAgent)
	return base64.RawURLEncoding.EncodeToString([]byte("https://" + host + "/?" + encodeQuery(query)))
}

// key derives the key of a day, a region and the service.
func (c iamCredentials) key(day, region string) []byte {
	key := []byte("AWS4" + c.secret)
	for _, part := range []string{day, region, iamService, "aws4_request"} {
		key = sign(key, part)
	}
	return key
}

// encodeQuery is url.Values.Encode with %20 for a space, as signatures want it.
func encodeQuery(query url.Values) string { return strings.ReplaceAll(query.Encode(), "+", "%20") }

func sign(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

func sum(text string) string {
	h := sha256.Sum256([]byte(text))
	return hex.EncodeToString(h[:])
}
