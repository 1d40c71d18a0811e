//go:build !race

package conformance

// many records are more than any window holds, and more than one fetch brings.
const many = 100_000
