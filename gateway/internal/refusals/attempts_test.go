package refusals

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
)

var (
	ann   = netip.MustParseAddr("192.0.2.1")
	bob   = netip.MustParseAddr("192.0.2.2")
	start = time.Unix(1_000_000, 0)
)

func keyOf(i int) string { return fmt.Sprintf("%022d", i) }

func TestAttemptIsForItsClient(t *testing.T) {
	var a Attempts
	a.Add(ann, keyOf(1), Outcome{Status: 403, Reason: "no"}, start)
	for _, tt := range []struct {
		name   string
		client netip.Addr
		key    string
		after  time.Duration
		want   bool
	}{
		{"the same client", ann, keyOf(1), 0, true},
		{"the same client over a socket of IPv6", netip.MustParseAddr("::ffff:192.0.2.1"), keyOf(1), 0, true},
		{"another address", bob, keyOf(1), 0, false},
		{"another key behind the same address", ann, keyOf(2), 0, false},
		{"no key", ann, "", 0, false},
		{"just before it expires", ann, keyOf(1), attemptTTL - 1, true},
		{"when it has expired", ann, keyOf(1), attemptTTL, false},
	} {
		if o, ok := a.Find(tt.client, tt.key, start.Add(tt.after)); ok != tt.want || ok && o.Status != 403 {
			t.Errorf("%s: %+v, %t", tt.name, o, ok)
		}
	}
	a.Add(bob, keyOf(1), Outcome{Status: 401}, start)
	a.Add(ann, keyOf(1), Outcome{Status: 101}, start)
	if o, _ := a.Find(ann, keyOf(1), start); o.Status != 101 || len(a.list) != 2 {
		t.Errorf("the later outcome: %+v of %d", o, len(a.list))
	}
	a.Add(ann, "", Outcome{Status: 401}, start)
	if len(a.list) != 2 {
		t.Error("an attempt without a key is stored")
	}
}

func TestAttemptsAreBounded(t *testing.T) {
	var a Attempts
	a.Add(bob, keyOf(0), Outcome{Status: 403, Reason: strings.Repeat("x", 10_000), Hint: "a\x1b[31m"}, start)
	for i := range 1000 {
		a.Add(ann, keyOf(i), Outcome{Status: 404}, start)
	}
	o, ok := a.Find(bob, keyOf(0), start)
	if len(a.list) != maxPerClient+1 || !ok {
		t.Errorf("%d attempts; another client's: %t", len(a.list), ok)
	}
	if len(o.Reason) > maxText+len("…") || strings.Contains(o.Hint, "\x1b") {
		t.Errorf("%d bytes, %q", len(o.Reason), o.Hint)
	}
	if _, ok := a.Find(ann, keyOf(999), start); !ok {
		t.Error("the last attempt was removed")
	}
	for i := range 1000 {
		a.Add(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), keyOf(i), Outcome{Status: 404}, start)
	}
	if len(a.list) != maxAttempts {
		t.Errorf("%d attempts", len(a.list))
	}
}

func TestAttemptKey(t *testing.T) {
	for _, key := range []string{keyOf(1), strings.Repeat("a", 64), "abcDEF-_0123456789abcd"} {
		if AttemptKey(key) != key {
			t.Errorf("%q is not a key", key)
		}
	}
	for _, key := range []string{"", strings.Repeat("a", 21), strings.Repeat("a", 65), keyOf(1) + "\n", keyOf(1) + "/", keyOf(1) + "é"} {
		if AttemptKey(key) != "" {
			t.Errorf("%q is a key", key)
		}
	}
}
