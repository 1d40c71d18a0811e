package kafkaclient_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/millrace/millrace/runtime/kafkaclient"
	"github.com/millrace/millrace/runtime/runtimetest"
)

// authority issues certificates for one test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	// file is the authority's certificate.
	file string
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "test authority"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{cert: cert, key: key, file: writePEM(t, "CERTIFICATE", der)}
}

// issue returns a certificate for a host's name or address, valid until end, and the files of it and its key.
func (a *authority) issue(t *testing.T, name string, end time.Time) (pair tls.Certificate, certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2),
		Subject:      pkix.Name{CommonName: name},
		DNSNames:     []string{name},
		NotBefore:    time.Now().Add(-2 * time.Hour),
		NotAfter:     end,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if ip := net.ParseIP(name); ip != nil {
		template.DNSNames, template.IPAddresses = nil, []net.IP{ip}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = writePEM(t, "CERTIFICATE", der), writePEM(t, "PRIVATE KEY", keyDER)
	pair, err = tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	return pair, certFile, keyFile
}

func writePEM(t *testing.T, kind string, der []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "file.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// localhost returns addrs by that name, as certificates have it.
func localhost(t *testing.T, addrs []string) []string {
	t.Helper()
	named := make([]string, len(addrs))
	for i, addr := range addrs {
		named[i] = "localhost:" + port(t, addr)
	}
	return named
}

func TestConnectTLS(t *testing.T) {
	t.Parallel()
	trusted, foreign := newAuthority(t), newAuthority(t)
	later := time.Now().Add(time.Hour)
	good, _, _ := trusted.issue(t, "localhost", later)
	otherName, _, _ := trusted.issue(t, "kafka.example", later)
	expired, _, _ := trusted.issue(t, "localhost", time.Now().Add(-time.Minute))

	for name, test := range map[string]struct {
		server *tls.Config
		config kafkaclient.Config
		// want are the words of the error, none = no error.
		want []string
	}{
		"trusted":         {&tls.Config{Certificates: []tls.Certificate{good}}, kafkaclient.Config{TLS: true, TLSCAFile: trusted.file}, nil},
		"other authority": {&tls.Config{Certificates: []tls.Certificate{good}}, kafkaclient.Config{TLS: true, TLSCAFile: foreign.file}, []string{"KAFKA_TLS_CA_FILE"}},
		"system's":        {&tls.Config{Certificates: []tls.Certificate{good}}, kafkaclient.Config{TLS: true}, []string{"KAFKA_TLS_CA_FILE"}},
		"other name":      {&tls.Config{Certificates: []tls.Certificate{otherName}}, kafkaclient.Config{TLS: true, TLSCAFile: trusted.file}, []string{"another name"}},
		"expired":         {&tls.Config{Certificates: []tls.Certificate{expired}}, kafkaclient.Config{TLS: true, TLSCAFile: trusted.file}, []string{"expired"}},
		"TLS 1.1":         {&tls.Config{Certificates: []tls.Certificate{good}, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, kafkaclient.Config{TLS: true, TLSCAFile: trusted.file}, []string{"TLS 1.2"}},
		"no TLS":          {&tls.Config{Certificates: []tls.Certificate{good}}, kafkaclient.Config{}, []string{"KAFKA_TLS"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.config.Brokers = localhost(t, embedded(t, kfake.TLS(test.server)))
			_, err := connect(t, test.config)
			if test.want == nil {
				if err != nil {
					t.Error(err)
				}
				return
			}
			mustHold(t, err, append(test.want, test.config.Brokers[0])...)
		})
	}
}

func TestConnectTLSToPlainBroker(t *testing.T) {
	t.Parallel()
	broker := runtimetest.Kafka(t, nil)
	_, err := connect(t, kafkaclient.Config{Brokers: broker.Addrs, TLS: true})
	mustHold(t, err, broker.Addrs[0], "KAFKA_TLS")
}

// TestConnectClientCertificate also replaces the certificate while the settings are in use.
func TestConnectClientCertificate(t *testing.T) {
	t.Parallel()
	trusted, foreign := newAuthority(t), newAuthority(t)
	later := time.Now().Add(time.Hour)
	server, _, _ := trusted.issue(t, "localhost", later)
	clients := x509.NewCertPool()
	clients.AddCert(trusted.cert)
	addrs := localhost(t, embedded(t, kfake.TLS(&tls.Config{
		Certificates: []tls.Certificate{server}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients,
	})))

	_, certFile, keyFile := foreign.issue(t, "client", later)
	c := kafkaclient.Config{Brokers: addrs, TLS: true, TLSCAFile: trusted.file, TLSCertFile: certFile, TLSKeyFile: keyFile}
	conf, err := c.Sarama("test")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Connect(conf); err == nil {
		t.Fatal("a certificate of another authority was accepted")
	}

	_, renewedCert, renewedKey := trusted.issue(t, "client", later)
	for from, to := range map[string]string{renewedCert: certFile, renewedKey: keyFile} {
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	client, err := c.Connect(conf)
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Close(); err != nil {
		t.Error(err)
	}
}
