// Package webhook posts signed messages to one address, as Standard Webhooks 1.0.0 describes them, and says of each
// failure what is to become of the event:
//
//	2xx                                                     nil
//	the address cannot be reached, 502, 503, 504            function.Unavailable("webhook")
//	429                                                     function.RetryAfter, with the time that Retry-After asks for
//	408, 425, other 5xx, no answer to a request sent        a plain error: tried again
//	any other answer, a redirect, a refused address         function.Permanent
//
// The address is fixed when the process starts. The client has no proxy, follows no redirect, sends no cookies and reads
// little of the answer. It connects only to addresses of the public internet, checked after the name was resolved, so
// that a name cannot lead into the private network: see [Options].AllowPrivate.
//
// It imports runtime/function for the outcomes and the standard library.
package webhook
