package balance_test

import (
	"fmt"
	"time"

	"github.com/handfast/handfast/balance"
)

// Two servers share four connections. Then one of them drains, and its remaining connections should move.
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
		// Later, when the connection has ended: pool.Release(now, u)
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

// preferred is a policy that fills one upstream before it uses any other.
type preferred struct{ id string }

func (p preferred) Pick(ready []*balance.Upstream, _ string) *balance.Upstream {
	best := ready[0]
	for _, u := range ready {
		if u.ID() == p.id && u.Share() == 1 {
			return u
		}
		if u.Load()*best.Weight() < best.Load()*u.Weight() {
			best = u
		}
	}
	return best
}

// A custom policy sees only the upstreams that may be chosen: here, a full one is not among them.
func ExamplePolicy() {
	now := time.Now()
	pool := balance.NewPool(balance.Options{Policy: preferred{"ws://near:9001"}})
	err := pool.Set(now, []balance.Spec{{ID: "ws://far:9001"}, {ID: "ws://farther:9001"}, {ID: "ws://near:9001", Capacity: 2}})
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 4 {
		u, err := pool.Acquire(now, "")
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(u.ID())
	}
	// Output:
	// ws://near:9001
	// ws://near:9001
	// ws://far:9001
	// ws://farther:9001
}
