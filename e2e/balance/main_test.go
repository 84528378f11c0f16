//go:build e2e

package balance

import (
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/handfast/handfast/e2e/internal/house"
)

// The long form, and how large it is.
var (
	drill   = flag.Bool("drill", false, "run the long form, and write the table of its results")
	clients = flag.Int("clients", 5000, "how many clients the long form has")
)

// scratch is a directory for programs that are built for these tests.
var scratch string

// form is how large a run is.
type form struct {
	clients int           // that are connected when something happens
	storm   int           // that return together
	few     int           // whose handshakes are slow
	floods  int           // that send and do not read
	pause   time.Duration // of a client between what it sends
	pace    float64       // connections that are moved in a second

	slowStart time.Duration // of new servers
}

// size returns the form that was asked for.
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
	code := house.Main(m)
	if err := writeResults(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}
