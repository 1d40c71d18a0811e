// Package faultproxy is a TCP proxy in front of one Kafka broker, for tests that need the network to fail: connections
// are cut, delayed or half-open, or a single request arrives long after its client has given it up.
//
//	proxy, err := faultproxy.Listen("127.0.0.1:0", broker)
//	… the client dials proxy.Addr() …
//	late := proxy.Hold(faultproxy.Keys(26)) // EndTxn
//	<-late.Taken()                          // the client has lost its connection, and tries again on another
//	err = late.Release(ctx)                 // only now does the broker see the first try
//
// A client follows the addresses that brokers advertise, so the broker must advertise the proxy's, or the client dial it
// whatever it is told. The proxy knows of the protocol how requests are framed (length, API key, correlation id); it
// speaks no TLS.
//
// The package imports the standard library only; only tests and what serves them may import it.
package faultproxy
