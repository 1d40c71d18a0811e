//go:build race

package orderapi_test

const slowed = true
