// Package mail is the SMTP server of local development: it catches every mail on 127.0.0.1, keeps the last ones in memory
// and sends none on.
//
// It is strict where mail servers are kind, so that a mail that is malformed fails on the developer's machine and not at
// the first real server. It imports nothing of millrace.
package mail
