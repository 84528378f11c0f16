package natsengine

import (
	"context"
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// A node that tries to renew its lease, and cannot because the stream has no leader, says so, and the others leave it the lease. A
// node that is silent does not keep it.
func TestRenewing(t *testing.T) {
	here, there := newEngine(t, Options{URL: "nats://127.0.0.1:1"}), newEngine(t, Options{URL: "nats://127.0.0.1:1"})
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := here.Lease(gone, "mine", 3*time.Second); err == nil {
		t.Fatal("a lease without a server")
	}
	now := time.Now()
	names := here.leases.renewing(now)
	if !slices.Equal(names, []string{"mine"}) {
		t.Fatalf("renewing %q", names)
	}
	if late := here.leases.renewing(now.Add(renewLonger + time.Second)); len(late) > 0 {
		t.Errorf("long after the last try: renewing %q", late)
	}
	for i, name := range []string{"mine", "silent"} {
		there.leases.note(watchedRecord{Lease: name, TTL: 3000}, uint64(i+1), now.Add(-time.Minute)) //nolint:gosec // not negative
	}
	data, err := json.Marshal(beat{Node: here.id, Count: 1, Renewing: names})
	if err != nil {
		t.Fatal(err)
	}
	there.peers.hear(&nats.Msg{Data: data})
	for name, kept := range map[string]bool{"mine": true, "silent": false} {
		if x := there.leases.get(name); (time.Since(x.seen) < x.ttl) != kept {
			t.Errorf("%s was seen %v ago; its lease is kept: want %v", name, time.Since(x.seen), kept)
		}
	}
}

// What the server says of a refused node is explained, and not repeated at each attempt; other messages are logged as they are.
func TestRefusals(t *testing.T) {
	var log warnings
	l := &logger{warn: log.add}
	for range 3 {
		l.Errorf("127.0.0.1:1 - rid:%d - Route Error 'Authorization Violation'", 3)
		l.Errorf("127.0.0.1:1 - rid:%d - TLS route handshake error: remote error: tls: bad certificate", 4)
	}
	l.Warnf("the disk is full")
	l.Warnf("the disk is full")
	want := wrongSecret + ": 127.0.0.1:1 - rid:3 - Route Error 'Authorization Violation'\n" +
		wrongAuthority + ": 127.0.0.1:1 - rid:4 - TLS route handshake error: remote error: tls: bad certificate\n" +
		"the disk is full\nthe disk is full"
	if log.String() != want {
		t.Errorf("the log is\n%s\nwant\n%s", &log, want)
	}
}
