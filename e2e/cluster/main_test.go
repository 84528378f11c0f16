//go:build e2e

package cluster

import (
	"errors"
	"flag"
	"os"
	"testing"
	"time"

	"github.com/handfast/handfast/e2e/internal/house"
	"github.com/handfast/handfast/internal/natstest"
)

// The long form, and how large it is.
var (
	drill   = flag.Bool("drill", false, "run the long form, and write the table of its results")
	clients = flag.Int("clients", 3000, "how many subscribers the long form has")
)

// form is how large a run is.
type form struct {
	subscribers int           // spread over the channels
	channels    int           // each has two publishers
	pace        time.Duration // between what one publisher publishes
	away        time.Duration // how long a node is stopped, and a network is cut
	presence    time.Duration // within which members of a lost node are gone
}

// size returns the form that was asked for. The bound on presence is the same in both: a lease lasts three seconds, so that there
// are two for processes that wait for a processor, since other tests run beside the short one.
func size() form {
	if *drill {
		return form{subscribers: *clients, channels: max(1, *clients/100), pace: time.Second, away: 8 * time.Second, presence: 5 * time.Second}
	}
	return form{subscribers: 60, channels: 3, pace: 50 * time.Millisecond, away: 6 * time.Second, presence: 5 * time.Second}
}

func TestMain(m *testing.M) {
	if natstest.Main() {
		return
	}
	flag.Parse()
	code := house.Main(m)
	if err := errors.Join(writeResults(), writeProtocols()); err != nil {
		println(err.Error())
		code = 1
	}
	os.Exit(code)
}
