package kafkaclient

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"os"

	"github.com/IBM/sarama"
)

// maxFileSize bounds what is read of a file: a bundle of all public authorities has about 200 KiB.
const maxFileSize = 4 << 20

func (c Config) setTLS(conf *sarama.Config) error {
	if !c.TLS {
		return nil
	}
	settings := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.TLSCAFile != "" {
		pem, err := readFile("KAFKA_TLS_CA_FILE", c.TLSCAFile)
		if err != nil {
			return err
		}
		settings.RootCAs = x509.NewCertPool()
		if !settings.RootCAs.AppendCertsFromPEM(pem) {
			return fmt.Errorf("KAFKA_TLS_CA_FILE: %s holds no certificate in PEM form", c.TLSCAFile)
		}
	}
	if c.TLSCertFile != "" {
		if _, err := c.certificate(); err != nil {
			return err
		}
		// Read for each connection, so that a renewed certificate is used without a restart.
		settings.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return c.certificate() }
	}
	conf.Net.TLS.Enable = true
	conf.Net.TLS.Config = settings
	return nil
}

func (c Config) certificate() (*tls.Certificate, error) {
	cert, err := readFile("KAFKA_TLS_CERT_FILE", c.TLSCertFile)
	if err != nil {
		return nil, err
	}
	key, err := readFile("KAFKA_TLS_KEY_FILE", c.TLSKeyFile)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("KAFKA_TLS_CERT_FILE %s with KAFKA_TLS_KEY_FILE %s: %w", c.TLSCertFile, c.TLSKeyFile, err)
	}
	return &pair, nil
}

// readFile reads the file that a variable names.
func readFile(variable, name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", variable, err)
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxFileSize+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", variable, err)
	case len(content) > maxFileSize:
		return nil, fmt.Errorf("%s: %s has more than %d bytes", variable, name, maxFileSize)
	case len(content) == 0:
		return nil, fmt.Errorf("%s: %s is empty", variable, name)
	}
	return content, nil
}
