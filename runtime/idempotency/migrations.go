package idempotency

import (
	"embed"
	"io/fs"
)

//go:embed migrations
var migrations embed.FS

// folder returns a part of the embedded files, which is there by construction.
func folder(name string) fs.FS {
	part, err := fs.Sub(migrations, name)
	if err != nil {
		panic(err)
	}
	return part
}
