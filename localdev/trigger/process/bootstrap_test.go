package process_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
	"go.uber.org/goleak"

	"github.com/millrace/millrace/localdev/trigger/process"
)

// initKey makes the test binary a bootstrap, and says how it starts.
const initKey = "TEST_INIT"

// ownKey is a variable of the tests' environment that no function must see.
const ownKey = "TEST_OF_THE_PARENT"

func TestMain(m *testing.M) {
	switch os.Getenv(initKey) {
	case "":
		os.Setenv(ownKey, "1")
		goleak.VerifyTestMain(m)
	case "parent":
		beParent()
	default:
		beBootstrap(os.Getenv(initKey))
	}
}

// task is the event that the bootstrap understands.
type task struct {
	Do   string
	Text string
	N    int
}

// told is what it answers.
type told struct {
	PID      int
	Text     string
	Child    int
	Remains  time.Duration
	ARN, Dir string
	ID       string
	Trace    string
	Env      []string
}

func beBootstrap(how string) {
	switch how {
	case "exit":
		fmt.Println("no settings")
		fmt.Fprintln(os.Stderr, "giving up")
		os.Exit(7)
	case "hang":
		select {}
	case "error":
		postInitError()
		os.Exit(1)
	case "once":
		if _, err := os.Stat(os.Getenv("TEST_FLAG")); err != nil {
			os.Exit(1)
		}
	case "sigterm":
		done := make(chan os.Signal, 1)
		signal.Notify(done)
		lambda.StartWithOptions(do, lambda.WithEnableSIGTERM(func() {
			fmt.Println("cleaned up")
			os.Exit(0)
		}))
	}
	lambda.Start(do)
}

func postInitError() {
	address := "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime/init/error"
	document := `{"errorType":"Settings","errorMessage":"TOPIC is missing","stackTrace":[]}`
	response, err := http.Post(address, "application/json", strings.NewReader(document))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusAccepted {
		fmt.Println(response.Status)
	}
}

func do(ctx context.Context, t task) (any, error) {
	switch t.Do {
	case "sleep":
		time.Sleep(time.Duration(t.N) * time.Millisecond)
	case "error":
		return nil, errors.New(t.Text)
	case "panic":
		panic(t.Text)
	case "exit":
		fmt.Print("last words")
		os.Exit(t.N)
	case "huge":
		return strings.Repeat("x", t.N), nil
	case "break off":
		return io.MultiReader(strings.NewReader("half"), broken{}), nil
	case "print":
		fmt.Print(strings.Repeat(t.Text, t.N))
	case "stay":
		fmt.Println(os.Getpid())
		select {}
	case "child":
		return haveChild(t.Text)
	}
	answer := told{PID: os.Getpid(), Text: t.Text, Trace: os.Getenv("_X_AMZN_TRACE_ID"), Env: os.Environ()}
	answer.Dir, _ = os.Getwd()
	deadline, _ := ctx.Deadline()
	answer.Remains = time.Until(deadline)
	if c, ok := lambdacontext.FromContext(ctx); ok {
		answer.ARN, answer.ID = c.InvokedFunctionArn, c.AwsRequestID
	}
	return answer, nil
}

// broken is an answer that fails while it is written.
type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("the source ran dry") }

// haveChild starts a process that outlives this one, unless somebody ends it.
func haveChild(sleep string) (told, error) {
	child := exec.Command("sleep", sleep)
	child.Stdout = os.Stdout
	err := child.Start()
	if err != nil {
		return told{}, err
	}
	return told{PID: os.Getpid(), Child: child.Process.Pid}, nil
}

// beParent runs a pool until it is killed, with a process that stays and prints its number.
func beParent() {
	p, err := process.Start(process.Function{
		Name: "f", Bootstrap: os.Args[0], Timeout: time.Hour, Environment: map[string]string{initKey: "ok"},
	}, &process.Options{Log: os.Stdout})
	if err == nil {
		_, err = p.Invoke(context.Background(), event(task{Do: "stay"}))
	}
	fmt.Println(err)
}

func event(what task) []byte {
	payload, err := json.Marshal(what)
	if err != nil {
		panic(err)
	}
	return payload
}
