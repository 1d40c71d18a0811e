// Package postgres gives tests a PostgreSQL: one server for all tests of a package, a database for each.
//
//	var server postgres.Shared
//
//	func TestMain(m *testing.M) { goleak.VerifyTestMain(server.Tests(m)) }
//
//	func TestX(t *testing.T) { … server.Database(t) … }
//
// It runs the server that is installed, from PATH or from where Debian keeps it. A test is skipped where there is none.
// Only tests and localdev may import it.
package postgres

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"

	"github.com/millrace/millrace/runtime/runtimetest/internal/daemon"
)

// Server is a PostgreSQL server on a free port of the loopback interface.
type Server struct {
	*daemon.Daemon

	databases atomic.Int64
}

// Start starts a server that ends with the test.
func Start(t testing.TB) *Server {
	t.Helper()
	s, err := start(programs(t), false)
	daemon.Check(t, "start PostgreSQL", err)
	t.Cleanup(s.Stop)
	return s
}

// ErrMissing says that PostgreSQL is not installed.
var ErrMissing = errors.New("needs PostgreSQL: initdb is neither in PATH nor in /usr/lib/postgresql/*/bin (Debian's package postgresql)")

// Run starts a server for a program that is no test: a benchmark. It syncs to the disk. Stop ends it.
func Run() (*Server, error) {
	folder, err := find()
	if err != nil {
		return nil, err
	}
	return start(folder, true)
}

// programs returns the folder of the programs initdb and postgres, or skips the test.
func programs(t testing.TB) string {
	t.Helper()
	folder, err := find()
	if err != nil {
		t.Skip(err)
	}
	return folder
}

func find() (string, error) {
	if path, err := exec.LookPath("initdb"); err == nil {
		if resolved, err := filepath.EvalSymlinks(path); err == nil {
			return filepath.Dir(resolved), nil
		}
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb") // the pattern is well-formed
	if len(found) == 0 {
		return "", ErrMissing
	}
	return filepath.Dir(slices.MaxFunc(found, func(a, b string) int { return cmp.Compare(version(a), version(b)) })), nil
}

// version reads /usr/lib/postgresql/VERSION/bin/initdb.
func version(path string) int {
	number, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path)))) // what is no number comes last
	return number
}

func start(programs string, sync bool) (*Server, error) {
	d, err := daemon.New("postgres")
	if err != nil {
		return nil, err
	}
	s := &Server{Daemon: d}
	data := filepath.Join(d.Dir, "data")
	_, port, _ := strings.Cut(d.Address, ":")
	d.Command = func() []string {
		return []string{
			filepath.Join(programs, "postgres"), "-D", data, "-p", port, "-h", "127.0.0.1", "-k", "",
			// Tests kill the server, not the machine.
			"-c", "fsync=" + strconv.FormatBool(sync), "-c", "max_connections=200", "-c", "shared_buffers=32MB",
		}
	}
	d.Ready = s.ping
	err = d.Run(filepath.Join(programs, "initdb"), "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
	if err == nil {
		err = d.Start()
	}
	if err != nil {
		d.Stop()
		return nil, err
	}
	return s, nil
}

// URL returns the URL of a database.
func (s *Server) URL(database string) string {
	return "postgres://postgres@" + s.Address + "/" + database + "?sslmode=disable"
}

func (s *Server) ping(ctx context.Context) error {
	return s.exec(ctx, "SELECT 1")
}

func (s *Server) exec(ctx context.Context, statement string) error {
	db, err := sql.Open("pgx", s.URL("postgres"))
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = db.ExecContext(ctx, statement)
	return err
}

// Database creates an empty database and returns its URL. It goes with the server.
func (s *Server) Database(t testing.TB) string {
	t.Helper()
	url, err := s.Create(t.Context())
	daemon.Check(t, "create a database", err)
	return url
}

// Create is [Server.Database] for a program that is no test.
func (s *Server) Create(ctx context.Context) (url string, err error) {
	name := fmt.Sprintf("test_%d", s.databases.Add(1))
	return s.URL(name), s.exec(ctx, "CREATE DATABASE "+name)
}

// Restart kills the server, as a crash does, and starts it again with its data on the same port.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	s.Kill()
	daemon.Check(t, "start PostgreSQL again", s.Start())
}

// Shared is a server for the tests of a package. The zero value starts when it is first used; Stop ends it.
type Shared struct {
	once   sync.Once
	server *Server
	err    error
}

// Database creates an empty database and returns its URL.
func (s *Shared) Database(t testing.TB) string {
	t.Helper()
	folder := programs(t)
	s.once.Do(func() { s.server, s.err = start(folder, false) })
	daemon.Check(t, "start PostgreSQL", s.err)
	return s.server.Database(t)
}

// Stop ends the server, if it was started. Call it after the tests.
func (s *Shared) Stop() {
	if s.server != nil {
		s.server.Stop()
	}
}

// Tests are the tests of a package, with the server that they share.
type Tests struct {
	tests  *testing.M
	server *Shared
}

// Tests returns the tests of a package, which end the server when they have run: what goleak.VerifyTestMain takes.
func (s *Shared) Tests(m *testing.M) Tests { return Tests{m, s} }

// Run runs the tests, ends the server and returns the exit code.
func (t Tests) Run() int {
	defer t.server.Stop()
	return t.tests.Run()
}
