package idempotency

import (
	"embed"
	"io/fs"
)

//go:embed migrations
var embedded embed.FS

// migrationsTable keeps which migrations were done.
const migrationsTable = "millrace_idempotency_migrations"

// migrations returns the folders of migrations, which are there by construction.
func migrations() fs.FS {
	folder, err := fs.Sub(embedded, "migrations")
	if err != nil {
		panic(err)
	}
	return folder
}
