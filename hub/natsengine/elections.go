package natsengine

import (
	"sync"
	"time"
	_ "unsafe" // for go:linkname

	_ "github.com/nats-io/nats-server/v2/server" // whose variables these are
)

// The times of the elections of NATS. The server has no option for them, and by default its nodes wait four to nine seconds for a
// leader that has died: neither are members gone within five seconds then, nor is a message acknowledged. TestElections fails when
// a version of the server no longer has these variables, or has other defaults.
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

// shortenElections is called before the first server of a cluster starts in this process.
func shortenElections() {
	minElectionTimeout, maxElectionTimeout = 1200*time.Millisecond, 2400*time.Millisecond
	hbInterval = 300 * time.Millisecond
	lostQuorumInterval, lostQuorumCheck = 3*time.Second, time.Second
}
