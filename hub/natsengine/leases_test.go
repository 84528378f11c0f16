package natsengine

import (
	"context"
	"encoding/json"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/handfast/handfast/hub"
)

// A node that cannot renew its lease because the stream has no leader reports that, and the other nodes do not end the lease. The
// lease of a silent node expires.
func TestRenewing(t *testing.T) {
	here, there := newEngine(t, Options{URL: "nats://127.0.0.1:1"}), newEngine(t, Options{URL: "nats://127.0.0.1:1"})
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := here.Lease(gone, "mine", 3*time.Second); err == nil {
		t.Fatal("a lease is acquired without a server")
	}
	now := time.Now()
	names := here.leases.renewing(now)
	if !slices.Equal(names, []string{"mine"}) {
		t.Fatalf("renewing %q", names)
	}
	if late := here.leases.renewing(now.Add(renewingFor + time.Second)); len(late) > 0 {
		t.Errorf("long after the last attempt: renewing %q", late)
	}
	for i, name := range []string{"mine", "silent"} {
		there.leases.record(nodeRecord{Lease: name, TTL: 3000}, uint64(i+1), now.Add(-time.Minute))
	}
	data, err := json.Marshal(heartbeat{Node: here.id, Count: 1, Renewing: names})
	if err != nil {
		t.Fatal(err)
	}
	there.peers.receive(&nats.Msg{Data: data})
	for name, kept := range map[string]bool{"mine": true, "silent": false} {
		if x := there.leases.get(name); (time.Since(x.seen) < x.ttl) != kept {
			t.Errorf("%s was seen %v ago; its lease is kept: want %v", name, time.Since(x.seen), kept)
		}
	}
}

// While a node's own renewals wait for a leader, and until the clients' entries that waited, too, had time to be stored, the node
// postpones the end of leases, within a limit.
func TestLeaderIsLost(t *testing.T) {
	e := newEngine(t, Options{URL: "nats://127.0.0.1:1"})
	l := &e.leases
	began := time.Now()
	own := l.get("own")
	own.waiting = began
	for _, tt := range []struct {
		after time.Duration
		want  bool
	}{{slowRenewal / 2, false}, {2 * slowRenewal, true}, {requestTimeout - 1, true}, {requestTimeout, false}} {
		if got := l.recovering(began.Add(tt.after)); got != tt.want {
			t.Errorf("a renewal that has taken %v: %v, want %v", tt.after, got, tt.want)
		}
	}
	l.renewed(own, began.Add(slowRenewal))
	if l.recovering(began.Add(slowRenewal)) {
		t.Error("a quick renewal prevents leases from ending")
	}
	own.waiting = began
	back := began.Add(2 * retryInterval)
	l.renewed(own, back)
	for after, want := range map[time.Duration]bool{0: true, retryInterval: true, recoveryGrace: false} {
		if got := l.recovering(back.Add(after)); got != want {
			t.Errorf("%v after a slow renewal: %v, want %v", after, got, want)
		}
	}
	other := &lease{seq: 1, seen: began, ttl: time.Second}
	for _, tt := range []struct {
		after            time.Duration
		recovering, want bool
	}{{time.Second, false, false}, {time.Second + 1, false, true}, {time.Second + 1, true, false}, {time.Second + recoveryGrace + 1, true, true}} {
		if got := other.isDue(began.Add(tt.after), tt.recovering); got != tt.want {
			t.Errorf("a lease of a second after %v, recovering: %v: due: %v", tt.after, tt.recovering, got)
		}
	}
	own.waiting, own.ended, l.recovered = began, true, time.Time{}
	if l.recovering(began.Add(2 * slowRenewal)) {
		t.Error("a lease that has ended prevents others from ending")
	}
}

// gaps is a sink that counts gaps.
type gaps struct {
	hub.Sink
	n int
}

func (g *gaps) Gap(...string) { g.n++ }

// A node reports a gap when it has missed a heartbeat of another node, or receives a heartbeat from a node that was silent, or from
// an unknown node that is not new. It reports another gap later, because servers that were disconnected may have responded with old
// data.
func TestMissingBeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t, Options{URL: "nats://127.0.0.1:1"})
		var sink gaps
		e.inbound.sink = &sink
		count := uint64(0)
		hear := func(node string, count uint64) {
			t.Helper()
			data, err := json.Marshal(heartbeat{Node: node, Count: count})
			if err != nil {
				t.Fatal(err)
			}
			e.peers.receive(&nats.Msg{Data: data})
		}
		want := func(what string, n int) {
			t.Helper()
			for range 10 {
				e.peers.sendHeartbeat(time.Now())
				time.Sleep(heartbeatInterval) //nolint:forbidigo // Sleep uses the fake clock of a synctest bubble
				count++
				hear("there", count)
			}
			if sink.n != n {
				t.Errorf("%s: %d gaps, want %d", what, sink.n, n)
			}
			sink.n = 0
		}
		want("a new node", 0)
		count++
		want("a missing heartbeat", 2)
		time.Sleep(peerTimeout + time.Second) //nolint:forbidigo // Sleep uses the fake clock of a synctest bubble
		e.peers.sendHeartbeat(time.Now())
		if len(e.peers.nodes) > 0 {
			t.Fatal("a silent node is still known")
		}
		want("a node that was silent", 2)
		hear("elsewhere", 5)
		want("a node that was there before", 2)
	})
}

// Server messages about a rejected node are explained, and not repeated for each attempt; other messages are logged unchanged.
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
