package runner

import (
	"context"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"

	"github.com/millrace/millrace/localdev/catalog"
	"github.com/millrace/millrace/localdev/paymentprovider"
	"github.com/millrace/millrace/runtime/function"
)

// findDatabases gives each service of the shop a database of its own, unless the developer named one.
func (s *system) findDatabases(context.Context) error {
	if _, ok := s.environment.own("DATABASE_URL"); ok {
		return nil
	}
	folder := s.options.Data
	if folder != "" {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return err
		}
	} else {
		var err error
		if folder, err = os.MkdirTemp("", "millrace-"); err != nil {
			return err
		}
		s.closers = append(s.closers, func() error { return os.RemoveAll(folder) })
		s.environment.fallBack("DATABASE_DURABLE", "false")
	}
	s.environment.databases = folder
	s.system.Databases, s.system.Data = folder, s.options.Data
	return nil
}

// startProvider starts the simulator of a provider of payments, unless the developer named a provider.
func (s *system) startProvider(context.Context) error {
	if address, ok := s.environment.own("PAYMENT_PROVIDER_URL"); ok {
		s.system.Payments = hostOf(address)
		return nil
	}
	provider, err := paymentprovider.Start(&paymentprovider.Options{
		Addr: s.options.PaymentAddr, File: s.kept("payment-provider.jsonl"), Booked: s.options.Booked, Log: s.options.Log,
	})
	if err != nil {
		return inUse(PartPayments, err)
	}
	s.closers = append(s.closers, provider.Close)
	s.environment.hide("PAYMENT_PROVIDER_KEY")
	s.environment.set["PAYMENT_PROVIDER_URL"], s.environment.set["PAYMENT_PROVIDER_KEY"] = provider.URL(), "local"
	s.system.Payments, s.system.PaymentsSimulated = provider.URL(), true
	return nil
}

// findAPI says where the shop's API will be.
func (s *system) findAPI(context.Context) error {
	addr := s.options.APIAddr
	if addr == "off" {
		return nil
	}
	if addr == "" {
		own, ok := s.environment.own("API_ADDR")
		addr = own
		if !ok {
			addr = DefaultAPIAddr
		}
	}
	addr, err := free(addr)
	if err != nil {
		return inUse(PartAPI, err)
	}
	s.environment.set["API_ADDR"] = addr
	s.system.API = addr
	return nil
}

// DefaultAPIAddr is where the shop's API is served.
const DefaultAPIAddr = "127.0.0.1:8080"

// free returns addr with a free port in the place of port 0. It is none that systems give to outgoing connections: one of those
// could have it before it is listened at.
func free(addr string) (string, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil || port != "0" {
		return addr, nil //nolint:nilerr // what is no address is told by who listens
	}
	for range 100 {
		var listener net.Listener
		addr = net.JoinHostPort(host, strconv.Itoa(20_000+rand.IntN(12_000)))
		if listener, err = net.Listen("tcp", addr); err == nil {
			return addr, listener.Close()
		}
	}
	return "", err
}

// kept is a file in the folder that the developer wants data to be kept in, "" where there is none.
func (s *system) kept(name string) string {
	if s.options.Data == "" {
		return ""
	}
	return filepath.Join(s.options.Data, name)
}

// of is the environment of one function or service: all share one but for the database.
func (e *environment) of(name string) function.Lookup {
	service := catalog.Database(name)
	if e.databases == "" || service == "" {
		return e.lookup
	}
	return func(key string) (string, bool) {
		switch key {
		case "DATABASE":
			return "sqlite", true
		case "DATABASE_URL":
			return filepath.Join(e.databases, service+".db"), true
		}
		return e.lookup(key)
	}
}

// withoutHealth is the environment of a service beside functions behind another door.
func (e *environment) withoutHealth(key string) (string, bool) {
	if key == "HTTP_ADDR" {
		return "off", true
	}
	return e.lookup(key)
}

// functions are the functions, each with its own environment.
func (s *system) functions() []function.Spec {
	specs := make([]function.Spec, len(s.options.Functions))
	for i, spec := range s.options.Functions {
		made, lookup := spec.New, s.environment.of(spec.Name)
		spec.New = func(function.Lookup) (function.Handler, error) { return made(lookup) }
		specs[i] = spec
	}
	return specs
}

// services are the services, each with its own environment.
func (s *system) services() []function.Service {
	if s.system.API == "" {
		return nil
	}
	services := catalog.Services()
	for i, service := range services {
		made, lookup := service.New, s.environment.of(service.Name)
		services[i].New = func(function.Lookup) (http.Handler, error) { return made(lookup) }
	}
	return services
}
