// Package money has the exact decimal and the currency in which payloads speak of money. No value passes through a binary
// float: 99.99 stays 99.99, and 49.50 keeps its zero.
//
// It imports shopspring/decimal and the JSON text package; nothing of millrace.
package money
