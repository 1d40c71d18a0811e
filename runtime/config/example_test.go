package config_test

import (
	"fmt"
	"time"

	"github.com/millrace/millrace/runtime/config"
)

func Example() {
	type smtp struct {
		Host     string        `env:"SMTP_HOST, required" doc:"Mail server."`
		Port     int           `env:"SMTP_PORT, default=587" min:"1" max:"65535" doc:"Its port."`
		Timeout  time.Duration `env:"SMTP_TIMEOUT, default=10s" min:"1s" max:"5m" doc:"Longest time for one mail."`
		Password config.Secret `env:"SMTP_PASSWORD" doc:"Password of the account."`
	}
	variables := map[string]string{"SMTP_PORT": "0", "SMTP_TIMEOUT": "1h", "SMTP_PASSWORD": "hunter2"}
	lookup := func(name string) (string, bool) {
		value, ok := variables[name]
		return value, ok
	}
	var c smtp
	fmt.Println(config.Load(lookup, &c))
	fmt.Println("password:", c.Password)
	// Output:
	// SMTP_HOST is not set, must be a text
	// SMTP_PORT must be a whole number from 1 to 65535
	// SMTP_TIMEOUT must be a duration such as 1h30m, 10s or 250ms from 1s to 5m
	// password: [redacted]
}

func ExampleDescribe() {
	type smtp struct {
		Host     string        `env:"SMTP_HOST, required" doc:"Mail server."`
		Port     int           `env:"SMTP_PORT, default=587" min:"1" max:"65535" doc:"Its port."`
		Password config.Secret `env:"SMTP_PASSWORD" doc:"Password of the account."`
	}
	for _, v := range config.Describe(&smtp{}) {
		fmt.Printf("%-14s%-6s%s Must be %s.\n", v.Name, v.Default, v.Doc, v.Bounds)
	}
	// Output:
	// SMTP_HOST           Mail server. Must be a text.
	// SMTP_PORT     587   Its port. Must be a whole number from 1 to 65535.
	// SMTP_PASSWORD       Password of the account. Must be a secret.
}
