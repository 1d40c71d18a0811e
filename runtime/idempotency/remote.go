package idempotency

import (
	"net"

	"github.com/millrace/millrace/runtime/database"
)

// isRemoteAddress tells whether the server at host:port is not on this machine.
func isRemoteAddress(address string) bool {
	host, _, err := net.SplitHostPort(address)
	return err != nil || database.IsRemote(host)
}
