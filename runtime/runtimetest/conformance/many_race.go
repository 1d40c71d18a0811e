//go:build race

package conformance

// many records are fewer where the race detector makes each of them cost ten times as much.
const many = 20_000
