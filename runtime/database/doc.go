// Package database opens the SQL databases that durable parts of the runtime keep their tables in: SQLite and PostgreSQL.
// It is the same for all of them: how a connection is made and how long it may take, what is asked of TLS, how tables are
// created and brought up to date by several processes at once, and what an error of a driver means.
//
// It imports the drivers and the migrations library, and nothing of the runtime.
package database

import "time"

// connectTimeout bounds how long a server may take to answer when a process starts.
const connectTimeout = 5 * time.Second
