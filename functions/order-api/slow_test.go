//go:build !race

package orderapi_test

// slowed tells whether everything takes several times as long, because the race detector watches.
const slowed = false
