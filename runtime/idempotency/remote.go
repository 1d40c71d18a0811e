package idempotency

import (
	"crypto/tls"
	"net"
	"path/filepath"
)

// isRemoteHost tells whether a server is not on this machine. A path is that of a socket.
func isRemoteHost(host string) bool {
	if host == "localhost" || filepath.IsAbs(host) {
		return false
	}
	ip := net.ParseIP(host)
	return ip == nil || !ip.IsLoopback()
}

// isRemoteAddress is isRemoteHost for host:port.
func isRemoteAddress(address string) bool {
	host, _, err := net.SplitHostPort(address)
	return err != nil || isRemoteHost(host)
}

// verifies tells whether a connection with c looks at the server's certificate.
func verifies(c *tls.Config) bool {
	return c != nil && (!c.InsecureSkipVerify || c.VerifyPeerCertificate != nil || c.VerifyConnection != nil)
}
