package certs

import (
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func secretLine(b byte) []byte {
	return []byte(base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{b}, 32)) + "\n")
}

// node is a server that shares tickets with other nodes, and has its own clock.
type node struct {
	p        *Provider
	reported events
	addr     string
	file     string
	now      atomic.Int64
}

func newNode(t *testing.T, at time.Time, dev *Dev, secrets []byte) *node {
	t.Helper()
	n := &node{}
	n.now.Store(at.UnixNano())
	opts := Options{Dev: dev, Poll: time.Hour, now: func() time.Time { return time.Unix(0, n.now.Load()) }}
	if secrets != nil {
		n.file = write(t, filepath.Join(t.TempDir(), "tickets"), secrets)
		opts.TicketFile = n.file
	}
	n.p, n.reported = openProvider(t, opts)
	n.addr = echo(t, n.p.TLSConfig())
	return n
}

// resumes reports whether a session of one node can be resumed on another.
func resumes(t *testing.T, version uint16, from, to *node, between func()) bool {
	t.Helper()
	client := &tls.Config{InsecureSkipVerify: true, ServerName: "localhost", MaxVersion: version,
		ClientSessionCache: tls.NewLRUClientSessionCache(1)}
	if mustDial(t, from.addr, client).ConnectionState().DidResume {
		t.Error("the first session is a resumed one")
	}
	between()
	return mustDial(t, to.addr, client).ConnectionState().DidResume
}

func TestTicketsAreShared(t *testing.T) {
	dev := open(t, stateDir(t), "box")
	// The nodes start at the beginning of a window, so that each step is one window.
	start := time.Unix(time.Now().Unix()/43200*43200, 0).Add(time.Minute)
	a, b := secretLine('a'), secretLine('b')
	for _, tt := range []struct {
		name   string
		one    []byte
		two    []byte // nil means that the node has no ticket file
		skew   time.Duration
		passed time.Duration // time between the two connections
		want   bool
	}{
		{"the same secret", a, a, 0, 0, true},
		{"another secret", a, b, 0, 0, false},
		{"no secret", a, nil, 0, 0, false},
		{"the old secret comes second", a, slices.Concat(b, a), 0, 0, true},
		{"the new secret comes second", slices.Concat(a, b), slices.Concat(b, a), 0, 0, true},
		{"a clock that is ahead", a, a, 10 * time.Minute, 0, true},
		{"a clock that is behind by a window", a, a, -10 * time.Minute, 0, true},
		{"clocks of different days", a, a, -24 * time.Hour, 0, false},
		{"the window after", a, a, 0, 12 * time.Hour, true},
		{"23 hours later", a, a, 0, 23 * time.Hour, true},
		{"the window after that", a, a, 0, 24 * time.Hour, false},
	} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			one, two := newNode(t, start, dev, tt.one), newNode(t, start.Add(tt.skew), dev, tt.two)
			got := resumes(t, version, one, two, func() { two.now.Add(int64(tt.passed)) })
			if got != tt.want {
				t.Errorf("%s, %s: resumed %v, want %v", tt.name, tls.VersionName(version), got, tt.want)
			}
		}
	}
}

// A node's keys change with its clock and with its file, and its sessions can be resumed.
func TestTicketsRotate(t *testing.T) {
	dev := open(t, stateDir(t), "box")
	start := time.Unix(time.Now().Unix()/43200*43200, 0).Add(time.Minute)
	n := newNode(t, start, dev, secretLine('a'))
	client := &tls.Config{InsecureSkipVerify: true, ServerName: "localhost", ClientSessionCache: tls.NewLRUClientSessionCache(1)}
	before := mustDial(t, n.addr, client)
	for i := range 10 { // five days, with a new ticket in each connection
		n.now.Add(int64(12 * time.Hour))
		if !mustDial(t, n.addr, client).ConnectionState().DidResume {
			t.Fatalf("not resumed after %d windows", i+1)
		}
	}
	for _, step := range []struct {
		file []byte
		want bool
	}{
		{slices.Concat(secretLine('a'), secretLine('b')), true},
		{slices.Concat([]byte("# since Monday\n\n"), secretLine('b'), secretLine('a')), true},
		{secretLine('b'), true},
		{secretLine('c'), false},
	} {
		write(t, n.file, step.file)
		if e := n.reported.wait(t); e.Kind != EventLoaded || e.What != SubjectTickets || e.Path != n.file {
			t.Fatalf("reported: %v", e)
		}
		if got := mustDial(t, n.addr, client).ConnectionState().DidResume; got != step.want {
			t.Errorf("%s: resumed %v", step.file, got)
		}
	}
	write(t, n.file, []byte("c2hvcnQ="))
	if e := n.reported.wait(t); e.Kind != EventFailed || strings.Contains(e.String(), "c2hvcnQ") {
		t.Errorf("reported: %v", e)
	}
	if !mustDial(t, n.addr, client).ConnectionState().DidResume {
		t.Error("an invalid file has removed the keys")
	}
	if err := echoOnce(before); err != nil {
		t.Errorf("the open connection: %v", err)
	}
}

// Without a ticket file, the server still issues tickets, which only the same process accepts.
func TestTicketsOfOneProcess(t *testing.T) {
	dev := open(t, stateDir(t), "box")
	one, two := newNode(t, time.Now(), dev, nil), newNode(t, time.Now(), dev, nil)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		if !resumes(t, version, one, one, func() {}) {
			t.Errorf("%s: not resumed", tls.VersionName(version))
		}
		if resumes(t, version, one, two, func() {}) {
			t.Errorf("%s: resumed by another process", tls.VersionName(version))
		}
	}
}

func TestTicketKeys(t *testing.T) {
	now := time.Date(2026, 11, 22, 13, 0, 0, 0, time.UTC)
	keys, err := TicketKeys(slices.Concat(secretLine('a'), secretLine('b')), now)
	if err != nil || len(keys) != 6 {
		t.Fatalf("%d keys, %v", len(keys), err)
	}
	for i, k := range keys {
		if slices.Index(keys, k) != i {
			t.Errorf("key %d occurs twice", i)
		}
	}
	next, err := TicketKeys(secretLine('a'), now.Add(12*time.Hour))
	if err != nil || next[1] != keys[0] || next[0] != keys[2] {
		t.Errorf("the windows are not consecutive: %v", err)
	}
	for content, want := range map[string]string{
		"":              "no secret",
		"# nothing\n":   "no secret",
		"c2hvcnQ=":      "line 1 holds 5 bytes, fewer than 32",
		"\nnot base64!": "line 2 is not base64",
		strings.Repeat(string(secretLine('a')), 9): "9 secrets, more than 8",
	} {
		_, err := TicketKeys([]byte(content), now)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", content, err)
		}
	}
}
