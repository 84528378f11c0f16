//go:build e2e

package balance

import (
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/handfast/handfast/e2e/internal/harness"
)

// The flags select the long form and the number of its clients.
var (
	drill   = flag.Bool("drill", false, "run the long form, and write the table of its results")
	clients = flag.Int("clients", 5000, "how many clients the long form has")
)

// scratch is a directory for the programs built by these tests.
var scratch string

// form contains the parameters of a run.
type form struct {
	clients int           // number of clients connected during an event
	storm   int           // number of clients that reconnect at the same time
	few     int           // number of clients with slow handshakes
	floods  int           // number of clients that send and never read
	pause   time.Duration // a client's pause between bursts
	pace    float64       // number of connections moved per second

	slowStart time.Duration // the duration of the slow start of new servers
}

// size returns the form that the flags select.
func size() form {
	if *drill {
		return form{clients: *clients, storm: *clients * 8 / 5, few: max(1, *clients/50), floods: 20, pause: 2 * time.Second,
			pace: 500, slowStart: 30 * time.Second}
	}
	return form{clients: 120, storm: 400, few: 5, floods: 5, pause: 200 * time.Millisecond, pace: 100, slowStart: time.Second}
}

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "handfast-e2e-*")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	scratch = dir
	code := harness.Main(m)
	if err := writeResults(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}
