package balance_test

import (
	"fmt"
	"time"

	"github.com/handfast/handfast/balance"
)

// Two servers share four connections. Then one of them drains, and what is left of its connections should move.
func Example() {
	now := time.Now()
	pool := balance.NewPool(balance.Options{Policy: balance.LeastConnections()})
	if err := pool.Set(now, []balance.Spec{{ID: "ws://10.0.0.1:9001"}, {ID: "ws://10.0.0.2:9001", Weight: 3}}); err != nil {
		fmt.Println(err)
		return
	}
	for range 4 {
		u, err := pool.Acquire(now, "")
		if err != nil {
			fmt.Println(err)
			return
		}
		pool.Outcome(now, u, balance.OK) // once the upstream has accepted the handshake
		// Later, when the connection is gone: pool.Release(now, u)
	}
	pool.Drain(now, "ws://10.0.0.2:9001", true)
	for _, s := range pool.Status(now) {
		fmt.Println(s.ID, s.State, s.Live)
	}
	for _, m := range pool.Surplus(now, balance.Rebalance{}) {
		fmt.Println("move", m.Count, "from", m.ID)
	}
	pool.Drain(now, "ws://10.0.0.1:9001", true)
	_, err := pool.Acquire(now, "")
	fmt.Println(err)
	// Output:
	// ws://10.0.0.1:9001 ready 1
	// ws://10.0.0.2:9001 draining 3
	// move 3 from ws://10.0.0.2:9001
	// no upstream is ready: ws://10.0.0.1:9001: draining: by the operator, ws://10.0.0.2:9001: draining: by the operator
}
