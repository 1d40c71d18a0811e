// Package money has the exact decimal and the currency in which payloads speak of money. No value passes through a binary
// float: 99.99 stays 99.99, and 49.50 keeps its zero.
//
// It imports the JSON text package; nothing of millrace. Its decimals are its own: what libraries prepare at the start of a program
// takes longer than the start of most packages together.
package money
