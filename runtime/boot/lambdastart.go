package boot

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/go-json-experiment/json"
)

const (
	// startErrorType is how Lambda's log and console name an error at the start: category and reason.
	startErrorType = "Millrace.StartError"
	// startErrorTimeout bounds the report: Lambda gives a program 10 s to start.
	startErrorTimeout = 2 * time.Second
	// maxStartError bounds its text, in bytes.
	maxStartError = 8 << 10
)

// startError is what Lambda is told of a program that cannot start
// (https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html, "Initialization error").
type startError struct {
	Message string   `json:"errorMessage"`
	Type    string   `json:"errorType"`
	Stack   []string `json:"stackTrace"`
}

// reportStart tells Lambda, whose interface is at api, why the program does not start: who looks at the function sees it.
func reportStart(ctx context.Context, api string, cause error) error {
	text := cause.Error()
	body, err := json.Marshal(startError{Message: text[:min(len(text), maxStartError)], Type: startErrorType, Stack: []string{}})
	if err != nil {
		return fmt.Errorf("report the error to Lambda: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), startErrorTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+api+"/2018-06-01/runtime/init/error", bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("report the error to Lambda: %w", err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Lambda-Runtime-Function-Error-Type", startErrorType)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("report the error to Lambda: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusAccepted {
		return fmt.Errorf("report the error to Lambda: AWS_LAMBDA_RUNTIME_API=%s answered %s", api, response.Status)
	}
	return nil
}
