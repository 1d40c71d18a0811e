package runner

import (
	"strings"

	"github.com/millrace/millrace/runtime/config"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/telemetry"
)

// drainTimeout is shorter than the runtime's default: who presses Ctrl-C waits for it.
const drainTimeout = "3s"

// environment is what the functions see: the developer's own variables, less those that are about a real cluster, mail
// server or receiver where ours take their place, and with the addresses of ours.
type environment struct {
	base   function.Lookup
	set    map[string]string
	hidden []string // prefixes
	// databases is the folder with a database for each service, empty where the developer's own is used.
	databases string
}

func (e *environment) lookup(key string) (string, bool) {
	if value, ok := e.set[key]; ok {
		return value, true
	}
	for _, prefix := range e.hidden {
		if strings.HasPrefix(key, prefix) {
			return "", false
		}
	}
	return e.base(key)
}

// own returns a variable that the developer set to something.
func (e *environment) own(key string) (string, bool) {
	value, ok := e.base(key)
	return value, ok && value != ""
}

// fallBack gives a variable a value unless the developer did.
func (e *environment) fallBack(key, value string) {
	if _, ok := e.own(key); !ok {
		e.set[key] = value
	}
}

func (e *environment) hide(prefixes ...string) { e.hidden = append(e.hidden, prefixes...) }

// describeHTTP finds out where health and metrics will be.
func (s *system) describeHTTP() error {
	if s.options.HTTPAddr != "" {
		s.environment.set["HTTP_ADDR"] = s.options.HTTPAddr
	}
	var c telemetry.Config
	if err := config.Load(s.environment.lookup, &c); err != nil {
		return err
	}
	if c.HTTPAddr != "off" {
		s.system.HTTP = c.HTTPAddr
	}
	return nil
}
