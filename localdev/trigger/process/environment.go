package process

import (
	"cmp"
	"crypto/rand"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"
)

const (
	// version is the version of a function that is not published.
	version = "$LATEST"
	// handler is what millrace's template names; a Go binary does not look at it.
	handler = "bootstrap"
	// account is AWS's number for examples.
	account       = "123456789012"
	defaultRegion = "us-east-1"
)

// inherited are the variables that name a user's programs and folders, on Unix and Windows.
var inherited = []string{"PATH", "HOME", "TMPDIR", "TEMP", "TMP", "USERPROFILE", "SystemRoot", "LOCALAPPDATA"}

// Environment is what a developer has to set for the process that is started by hand, "KEY=value", sorted: the function's
// variables, the made-up credentials and the address at which the pool waits. It is nil where the pool starts processes
// itself. A process that takes the place of another one has the same.
func (p *Pool) Environment() []string {
	if p.byHand == nil {
		return nil
	}
	return flat(p.variables(p.byHand.session.Address()))
}

// processEnvironment is the whole environment of a process that the pool starts.
func (p *Pool) processEnvironment(address string) []string {
	variables := map[string]string{}
	for _, key := range inherited {
		if value, ok := os.LookupEnv(key); ok {
			variables[key] = value
		}
	}
	maps.Copy(variables, p.variables(address))
	variables["LAMBDA_TASK_ROOT"] = filepath.Dir(p.function.Bootstrap)
	return flat(variables)
}

// variables are those of the function, on top of what it may replace, and below what Lambda reserves.
func (p *Pool) variables(address string) map[string]string {
	variables := map[string]string{
		"AWS_REGION":         p.region(),
		"AWS_DEFAULT_REGION": p.region(),
		"LANG":               "en_US.UTF-8",
		"TZ":                 ":UTC",
	}
	if !p.hasCredentials() {
		for _, key := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"} {
			variables[key] = "local"
		}
	}
	maps.Copy(variables, p.function.Environment)
	maps.Copy(variables, map[string]string{
		"AWS_LAMBDA_RUNTIME_API":          address,
		"_HANDLER":                        handler,
		"AWS_EXECUTION_ENV":               "AWS_Lambda_provided.al2023",
		"AWS_LAMBDA_FUNCTION_NAME":        p.function.Name,
		"AWS_LAMBDA_FUNCTION_VERSION":     version,
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": strconv.Itoa(p.function.MemoryMB),
		"AWS_LAMBDA_INITIALIZATION_TYPE":  "on-demand",
		"AWS_LAMBDA_LOG_GROUP_NAME":       "/aws/lambda/" + p.function.Name,
		"AWS_LAMBDA_LOG_STREAM_NAME":      logStream(time.Now()),
	})
	return variables
}

// hasCredentials tells whether the caller says as whom the function acts. Ours beside them would spoil them.
func (p *Pool) hasCredentials() bool {
	e := p.function.Environment
	return cmp.Or(e["AWS_ACCESS_KEY_ID"], e["AWS_PROFILE"], e["AWS_WEB_IDENTITY_TOKEN_FILE"]) != ""
}

func (p *Pool) region() string {
	return cmp.Or(p.function.Environment["AWS_REGION"], p.function.Environment["AWS_DEFAULT_REGION"], defaultRegion)
}

func (p *Pool) arn() string {
	return fmt.Sprintf("arn:aws:lambda:%s:%s:function:%s", p.region(), account, p.function.Name)
}

// logStream is a name as Lambda gives it to each process.
func logStream(now time.Time) string {
	var random [16]byte
	_, _ = rand.Read(random[:]) // never fails
	return fmt.Sprintf("%s/[%s]%x", now.UTC().Format("2006/01/02"), version, random)
}

func flat(variables map[string]string) []string {
	list := make([]string, 0, len(variables))
	for _, key := range slices.Sorted(maps.Keys(variables)) {
		list = append(list, key+"="+variables[key])
	}
	return list
}
