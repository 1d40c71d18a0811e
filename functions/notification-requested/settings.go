package notificationrequested

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/mail"
	"os"

	"github.com/millrace/millrace/functions/notification-requested/internal/mailer"
	"github.com/millrace/millrace/functions/notification-requested/internal/webhook"
	"github.com/millrace/millrace/functions/notification-requested/templates"
	"github.com/millrace/millrace/runtime/config"
)

// settings are the function's part of the environment.
type settings struct {
	SMTPAddr        string        `env:"SMTP_ADDR, default=127.0.0.1:1025" min:"1" max:"255" doc:"Mail server, host:port."`
	SMTPFrom        string        `env:"SMTP_FROM, default=Millrace Shop <shop@millrace.example>" min:"1" max:"255" doc:"Sender of every email, an address with or without a name."`
	SMTPTLS         string        `env:"SMTP_TLS, default=starttls" oneof:"starttls|implicit|none" doc:"How the connection to the mail server is secured; none only for a server on this machine."`
	SMTPUsername    string        `env:"SMTP_USERNAME" max:"255" doc:"Account at the mail server; empty: no sign-in."`
	SMTPPassword    config.Secret `env:"SMTP_PASSWORD" doc:"Password of the account."`
	SMTPCAFile      string        `env:"SMTP_CA_FILE" doc:"PEM file with the authorities that may sign the mail server's certificate; empty: the system's."`
	SMTPConnections int           `env:"SMTP_CONNECTIONS, default=10" min:"1" max:"100" doc:"Connections to the mail server at once."`

	RecipientDomain string `env:"NOTIFY_RECIPIENT_DOMAIN, default=customers.millrace.example" min:"1" max:"189" doc:"Domain of recipients that are ids and no addresses."`

	WebhookURL          string        `env:"NOTIFY_WEBHOOK_URL, default=http://127.0.0.1:1081/notifications" min:"1" max:"2048" doc:"Where text messages and alerts are posted: https, or http to this machine."`
	WebhookSecret       config.Secret `env:"NOTIFY_WEBHOOK_SECRET, required" max:"512" doc:"Keys that sign the posts: whsec_ and base64 of 24 to 64 bytes; several, separated by spaces, while they are rotated."`
	WebhookAllowPrivate bool          `env:"NOTIFY_WEBHOOK_ALLOW_PRIVATE, default=false" doc:"Lets the webhook's name lead to private and loopback addresses."`
}

// Validate finds what is wrong with variables together.
func (s *settings) Validate() error {
	_, from := s.sender()
	_, smtp := s.mailer()
	_, address := s.webhookAddress()
	_, keys := s.webhookKeys()
	problems := []error{from, smtp, address, keys}
	if (s.SMTPUsername == "") != s.SMTPPassword.IsZero() {
		problems = append(problems, config.Problem{Variable: "SMTP_USERNAME", What: "and SMTP_PASSWORD must be set together"})
	}
	if !isDomain(s.RecipientDomain) {
		problems = append(problems, config.Problem{Variable: "NOTIFY_RECIPIENT_DOMAIN", What: "must be a domain name"})
	}
	return errors.Join(problems...)
}

func (s *settings) delivery() (*delivery, error) {
	from, err := s.sender()
	if err != nil {
		return nil, err
	}
	smtp, err := s.mailer()
	if err != nil {
		return nil, err
	}
	address, err := s.webhookAddress()
	if err != nil {
		return nil, err
	}
	keys, err := s.webhookKeys()
	if err != nil {
		return nil, err
	}
	words, err := templates.Parse()
	if err != nil {
		return nil, err
	}
	return &delivery{
		from:      from,
		domain:    s.RecipientDomain,
		templates: words,
		mailer:    smtp,
		webhook:   webhook.New(address, keys, &webhook.Options{AllowPrivate: s.WebhookAllowPrivate}),
	}, nil
}

func (s *settings) sender() (*mail.Address, error) {
	from, err := mail.ParseAddress(s.SMTPFrom)
	if err != nil || !isAddress(from.Address) {
		return nil, config.Problem{Variable: "SMTP_FROM", What: "must be one address, such as Shop <shop@example.org>"}
	}
	return from, nil
}

func (s *settings) mailer() (*mailer.Mailer, error) {
	roots, err := readRoots(s.SMTPCAFile)
	if err != nil {
		return nil, config.Problem{Variable: "SMTP_CA_FILE", What: err.Error()}
	}
	m, err := mailer.New(mailer.Server{
		Addr: s.SMTPAddr, TLS: mailer.TLS(s.SMTPTLS), Username: s.SMTPUsername, Password: s.SMTPPassword.Reveal(),
	}, &mailer.Options{Connections: s.SMTPConnections, RootCAs: roots})
	if err != nil {
		return nil, config.Problem{Variable: "SMTP_ADDR", What: err.Error()}
	}
	return m, nil
}

func (s *settings) webhookAddress() (webhook.Address, error) {
	address, err := webhook.ParseAddress(s.WebhookURL)
	if err != nil {
		return webhook.Address{}, config.Problem{Variable: "NOTIFY_WEBHOOK_URL", What: err.Error()}
	}
	return address, nil
}

func (s *settings) webhookKeys() ([]webhook.Key, error) {
	if s.WebhookSecret.IsZero() {
		return nil, nil // Its tag has said that it is required.
	}
	keys, err := webhook.ParseKeys(s.WebhookSecret.Reveal())
	if err != nil {
		return nil, config.Problem{Variable: "NOTIFY_WEBHOOK_SECRET", What: err.Error()}
	}
	return keys, nil
}

// readRoots reads certificates; without a path it returns nil, the system's.
func readRoots(path string) (*x509.CertPool, error) {
	if path == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("must be a readable file: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, errors.New("must be a PEM file with a certificate")
	}
	return roots, nil
}
