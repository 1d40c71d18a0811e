// Package orderapi is the shop's HTTP API of orders.
package orderapi
