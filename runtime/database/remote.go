package database

import (
	"crypto/tls"
	"net"
	"path/filepath"
)

// IsRemote tells whether a server is not on this machine. A path is that of a socket.
func IsRemote(host string) bool {
	if host == "localhost" || filepath.IsAbs(host) {
		return false
	}
	ip := net.ParseIP(host)
	return ip == nil || !ip.IsLoopback()
}

// IsVerified tells whether a connection with c, which may be nil, looks at the server's certificate.
func IsVerified(c *tls.Config) bool {
	return c != nil && (!c.InsecureSkipVerify || c.VerifyPeerCertificate != nil || c.VerifyConnection != nil)
}
