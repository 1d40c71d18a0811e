package boot

import (
	"errors"
	"net"
	"strconv"
	"time"

	"github.com/millrace/millrace/runtime/config"
)

// serving is what the environment says about services.
type serving struct {
	Addrs       []string      `env:"API_ADDR, default=127.0.0.1:8080" min:"1" doc:"Where requests are answered, host:port; several, with commas between them, where a process runs several services, in their order. On the loopback interface only requests to localhost, 127.0.0.1 and [::1] are answered."`
	Timeout     time.Duration `env:"API_TIMEOUT, default=30s" min:"10ms" max:"15m" doc:"How long a request may take to arrive, and then to be answered: its context ends."`
	BodyBytes   int64         `env:"API_BODY_BYTES, default=1048576" min:"1" max:"67108864" doc:"Bytes of a request's body beyond which it is not read. A function URL takes 6 MB at most."`
	HeaderBytes int           `env:"API_HEADER_BYTES, default=65536" min:"1024" max:"1048576" doc:"Bytes of a request's headers beyond which it is refused with 431."`
}

// Validate reports addresses that are none.
func (s *serving) Validate() error {
	var problems []error
	for _, addr := range s.Addrs {
		_, port, err := net.SplitHostPort(addr)
		if err == nil {
			_, err = strconv.ParseUint(port, 10, 16)
		}
		if err != nil {
			problems = append(problems, config.Problem{Variable: "API_ADDR", What: "must be host:port such as 127.0.0.1:8080"})
		}
	}
	return errors.Join(problems...)
}

// requireAddrs returns an error unless there is an address for each of so many services.
func (s *serving) requireAddrs(services int) error {
	if services > 1 && len(s.Addrs) != services {
		return config.Problem{Variable: "API_ADDR", What: "must list " + strconv.Itoa(services) + " addresses, one for each service"}
	}
	return nil
}
