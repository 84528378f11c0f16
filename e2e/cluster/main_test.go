//go:build e2e

package cluster

import (
	"errors"
	"flag"
	"os"
	"testing"
	"time"

	"github.com/handfast/handfast/e2e/internal/harness"
	"github.com/handfast/handfast/internal/natstest"
)

// The flags select the long form and the number of its subscribers.
var (
	drill   = flag.Bool("drill", false, "run the long form, and write the table of its results")
	clients = flag.Int("clients", 3000, "how many subscribers the long form has")
)

// form contains the parameters of a run.
type form struct {
	subscribers int           // number of subscribers, distributed over the channels
	channels    int           // each channel has two publishers
	pace        time.Duration // pause between two messages of a publisher
	away        time.Duration // how long a node is suspended or disconnected
	presence    time.Duration // time limit for the members of a lost node to disappear
}

// size returns the form that the flags select. The limit for presence is five seconds in both forms: a lease lasts three seconds, and
// processes may have to wait for a processor, because other tests run concurrently with the short form.
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
	code := harness.Main(m)
	if err := errors.Join(writeResults(), writeProtocols()); err != nil {
		println(err.Error())
		code = 1
	}
	os.Exit(code)
}
