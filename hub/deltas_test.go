package hub_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/hub/enginetest"
)

// differences returns the publications that a client has received, each with the base of its delta.
func differences(c *enginetest.Client) (got []string) {
	for _, e := range c.Events()[1:] {
		switch e.Previous {
		case nil:
			got = append(got, string(e.Publication.Data)+" without deltas")
		case hub.NoBase:
			got = append(got, string(e.Publication.Data))
		default:
			got = append(got, string(e.Publication.Data)+"-"+string(e.Previous.Data))
		}
	}
	return got
}

func set(key, value string) *hub.Publication { return &hub.Publication{Key: key, Data: []byte(value)} }

// A value of a keyed collection is a delta from the previous value of its key, if all subscribers have that value: not after a
// removal, and not from a value that a subscriber did not get or that may have expired.
func TestKeyDeltas(t *testing.T) {
	h := start(t, hub.Options{Namespaces: []hub.Namespace{{History: 100}, {Prefix: "drop:", History: 100, Slow: hub.SlowDrop}}})
	codec := new(enginetest.Codec)
	publish(t, h, "c", set("x", "x1"), set("y", "y1"), set("z", "z1"), &hub.Publication{Key: "z", Removed: true})
	first := enginetest.NewClient(t, h, codec, hub.Client{ID: "first"})
	first.Subscribe(t, "c", hub.SubscribeOptions{KeyDelta: true})
	publish(t, h, "c", set("x", "x2"), set("z", "z2"))
	second := enginetest.NewClient(t, h, codec, hub.Client{ID: "second"})
	second.Subscribe(t, "c", hub.SubscribeOptions{KeyDelta: true})
	without := enginetest.NewClient(t, h, codec, hub.Client{ID: "without"})
	without.Subscribe(t, "c", hub.SubscribeOptions{})
	soon := set("y", "y3")
	soon.Expires = time.Now().Add(time.Hour)
	skipped := set("x", "x3")
	skipped.NotTo = "second"
	publish(t, h, "c", set("y", "y2"), set("z", "z3"), skipped, set("x", "x4"), set("x", "x5"), soon, set("y", "y4"), text("no key"))
	first.Want(t, "x2", "z2", "y2", "z3", "x3", "x4", "x5", "y3", "y4", "no key")
	second.Want(t, "y2", "z3", "x4", "x5", "y3", "y4", "no key")
	without.Want(t, "y2", "z3", "x3", "x4", "x5", "y3", "y4", "no key")
	want := []string{"x2-x1", "z2", "y2-y1", "z3-z2", "x3-x2", "x4", "x5-x4", "y3-y2", "y4", "no key"}
	if got := differences(first); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	want = []string{"y2-y1", "z3-z2", "x4", "x5-x4", "y3-y2", "y4", "no key"}
	if got := differences(second); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got := differences(without); !slices.Contains(got, "x4 without deltas") {
		t.Errorf("%q", got)
	}

	dropping := enginetest.NewClient(t, h, codec, hub.Client{ID: "dropping"})
	dropping.Subscribe(t, "drop:c", hub.SubscribeOptions{KeyDelta: true})
	publish(t, h, "drop:c", set("x", "x1"), set("x", "x2"))
	dropping.Want(t, "x1", "x2")
	if got := differences(dropping); !slices.Equal(got, []string{"x1 without deltas", "x2 without deltas"}) {
		t.Errorf("%q: deltas although values may be missing", got)
	}
}

// The memory for the bases of deltas is limited: a key without room for its base has none, so its value is sent complete.
func TestKeyDeltasBounded(t *testing.T) {
	h := start(t, rules(hub.Namespace{History: 100_000, MaxData: 8 << 20}))
	big := func(key string) *hub.Publication { return &hub.Publication{Key: key, Data: make([]byte, 6<<20)} }
	publish(t, h, "c", big("a"), big("b"), big("c"))
	c := enginetest.NewClient(t, h, new(enginetest.Codec), hub.Client{ID: "c"})
	c.Subscribe(t, "c", hub.SubscribeOptions{KeyDelta: true})
	publish(t, h, "c", set("a", "1"), set("b", "1"), set("c", "1"), set("c", "2"))
	c.Want(t, "1", "1", "1", "2")
	whole, last := 0, c.Events()[4]
	for _, e := range c.Events()[1:4] {
		if e.Previous == hub.NoBase {
			whole++
		}
	}
	if whole != 1 || last.Previous == hub.NoBase {
		t.Errorf("%d of three values are sent as a whole, want the one that there was no room for; then %q", whole, fmt.Sprint(last.Previous))
	}
}
