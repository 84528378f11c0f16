package natsengine

import (
	"testing"
	"time"
)

// The server's defaults, before any test changes them.
var (
	initialMin, initialMax, initialBeat = minElectionTimeout, maxElectionTimeout, hbInterval
	initialLost, initialCheck           = lostQuorumInterval, lostQuorumCheck
)

// The linked variables have the server's expected defaults, and a clustered server changes them.
func TestElections(t *testing.T) {
	if initialMin != 4*time.Second || initialMax != 9*time.Second || initialBeat != time.Second ||
		initialLost != 10*time.Second || initialCheck != 10*time.Second {
		t.Errorf("the server's defaults are %v, %v, %v, %v, %v: see raft.go of this version", initialMin, initialMax, initialBeat, initialLost, initialCheck)
	}
	start(t, Embedded{Dir: t.TempDir(), ClusterListen: "127.0.0.1:0"})
	if maxElectionTimeout > 2500*time.Millisecond || minElectionTimeout < 3*hbInterval {
		t.Errorf("elections are held after %v to %v, with a heartbeat every %v", minElectionTimeout, maxElectionTimeout, hbInterval)
	}
}
