package kafkaclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
)

const (
	// maxKeys bounds the answer of a key server, in bytes.
	maxKeys = 64 << 10
	// keyMargin is how long before their end keys are fetched anew.
	keyMargin = 5 * time.Minute
)

// keyServer gives the keys of a container's role
// (https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html).
type keyServer struct {
	iam IAM
	url string

	mu   sync.Mutex
	keys iamCredentials
	// until is when keys have to be fetched anew.
	until time.Time
}

func newKeyServer(c IAM) *keyServer {
	s := &keyServer{iam: c, url: c.FullURI}
	if c.RelativeURI != "" {
		s.url = "http://169.254.170.2/" + strings.TrimPrefix(c.RelativeURI, "/")
	}
	return s
}

// credentials returns keys that are still good for a while.
func (s *keyServer) credentials(ctx context.Context) (iamCredentials, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Now().Before(s.until) {
		return s.keys, nil
	}
	keys, expires, err := s.fetch(ctx)
	if err != nil {
		return iamCredentials{}, fmt.Errorf("fetch the container's credentials: %w", err)
	}
	s.keys, s.until = keys, expires.Add(-keyMargin)
	return s.keys, nil
}

// keysAnswer is what a key server answers.
type keysAnswer struct {
	KeyID   string    `json:"AccessKeyId"`     //nolint:tagliatelle // AWS names it so
	Secret  string    `json:"SecretAccessKey"` //nolint:tagliatelle // AWS names it so
	Session string    `json:"Token"`           //nolint:tagliatelle // AWS names it so
	Expires time.Time `json:"Expiration"`      //nolint:tagliatelle // AWS names it so
}

func (s *keyServer) fetch(ctx context.Context) (keys iamCredentials, expires time.Time, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
	if err != nil {
		return keys, expires, errors.New("AWS_CONTAINER_CREDENTIALS_FULL_URI or _RELATIVE_URI is not an URL")
	}
	authorization, err := s.authorization()
	if err != nil {
		return keys, expires, err
	}
	if authorization != "" {
		request.Header.Set("Authorization", authorization)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return keys, expires, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return keys, expires, fmt.Errorf("%s answered %s", request.URL.Host, response.Status)
	}
	var a keysAnswer
	// An error of the decoder may quote what it read.
	if json.UnmarshalRead(io.LimitReader(response.Body, maxKeys), &a) != nil || a.KeyID == "" || a.Secret == "" {
		return keys, expires, fmt.Errorf("%s answered with something else than keys", request.URL.Host)
	}
	return iamCredentials{keyID: a.KeyID, secret: a.Secret, session: a.Session}, a.Expires, nil
}

// authorization returns the header that the server wants, empty for none.
func (s *keyServer) authorization() (string, error) {
	if s.iam.AuthorizationFile == "" {
		return s.iam.Authorization.Reveal(), nil
	}
	text, err := readFile("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", s.iam.AuthorizationFile)
	return strings.TrimSpace(string(text)), err
}
