package natsengine

import (
	"sync"
	"time"
	_ "unsafe" // for go:linkname

	_ "github.com/nats-io/nats-server/v2/server" // declares the variables below
)

// The election timeouts of NATS. The server has no options for them, and with the defaults its nodes wait four to nine seconds
// before they replace a leader that has died; until then no message is acknowledged, and members are not removed within five
// seconds. TestElections fails if a version of the server no longer has these variables, or has other defaults.
var (
	//go:linkname minElectionTimeout github.com/nats-io/nats-server/v2/server.minElectionTimeout
	minElectionTimeout time.Duration
	//go:linkname maxElectionTimeout github.com/nats-io/nats-server/v2/server.maxElectionTimeout
	maxElectionTimeout time.Duration
	//go:linkname hbInterval github.com/nats-io/nats-server/v2/server.hbInterval
	hbInterval time.Duration
	//go:linkname lostQuorumInterval github.com/nats-io/nats-server/v2/server.lostQuorumInterval
	lostQuorumInterval time.Duration
	//go:linkname lostQuorumCheck github.com/nats-io/nats-server/v2/server.lostQuorumCheck
	lostQuorumCheck time.Duration
)

var elections sync.Once

// shortenElections must be called before the first server of a cluster starts in this process.
func shortenElections() {
	minElectionTimeout, maxElectionTimeout = 1200*time.Millisecond, 2400*time.Millisecond
	hbInterval = 300 * time.Millisecond
	lostQuorumInterval, lostQuorumCheck = 3*time.Second, time.Second
}
