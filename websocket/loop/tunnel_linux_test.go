package loop_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"runtime"
	"testing"

	"github.com/handfast/handfast/websocket/loop"
)

// tunnels returns an event loop, or nil if event loops are not supported.
func tunnels(t *testing.T) *loop.Loops {
	t.Helper()
	ls, err := loop.New(loop.Options{Loops: 1})
	if errors.Is(err, errors.ErrUnsupported) {
		t.Logf("event loops are not supported: %v", err)
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ls.Stop(); ls.Wait() })
	return ls
}

// A tunnel stops reading from its source while the other end does not read. The two directions are closed independently, after all
// of their bytes have been passed on.
func TestTunnelBackpressureAndEOF(t *testing.T) {
	ls := tunnels(t)
	if ls == nil {
		return
	}
	client, a := tcpPair(t)
	server, b := tcpPair(t)
	defer client.Close()
	defer server.Close()
	over := make(chan error, 1)
	if _, err := newTunnel(ls, a, b, func(err error) { over <- err }); err != nil {
		t.Fatal(err)
	}
	ask := bytes.Repeat([]byte("0123456789abcdef"), 2<<20) // 32 MiB: more than all socket buffers hold
	wrote := make(chan error, 1)
	go func() {
		_, err := client.Write(ask)
		wrote <- errors.Join(err, client.CloseWrite())
	}()
	// The opposite direction continues while this one is blocked.
	if _, err := io.WriteString(server, "early"); err != nil {
		t.Fatal(err)
	}
	early := make([]byte, 5)
	if _, err := io.ReadFull(client, early); err != nil || string(early) != "early" {
		t.Fatalf("read %q, %v", early, err)
	}
	select {
	case err := <-wrote:
		t.Fatalf("%d bytes were accepted from the source, although the peer reads nothing: %v", len(ask), err)
	default:
	}
	if got, err := io.ReadAll(server); err != nil || !bytes.Equal(got, ask) {
		t.Fatalf("%d bytes of %d arrived, %v", len(got), len(ask), err)
	}
	if err := receive(t, wrote); err != nil {
		t.Error(err)
	}
	// Only one direction has been closed so far.
	if _, err := io.WriteString(server, "late"); err != nil {
		t.Fatal(err)
	}
	server.CloseWrite()
	if got, err := io.ReadAll(client); err != nil || string(got) != "late" {
		t.Errorf("read %q, %v", got, err)
	}
	if err := receive(t, over); err != nil {
		t.Errorf("the tunnel ended with %v", err)
	}
}

// An idle tunnel only occupies two FDs, the tunnel's state for each, and two slots in the loop.
func TestIdleTunnelIsAFewHundredBytes(t *testing.T) {
	ls := tunnels(t)
	if ls == nil {
		return
	}
	const n = 500
	pairs := make([][4]*net.TCPConn, n) // created before the measurement, because they belong to the test
	for i := range pairs {
		pairs[i][0], pairs[i][1] = tcpPair(t)
		pairs[i][2], pairs[i][3] = tcpPair(t)
		defer pairs[i][0].Close()
		defer pairs[i][2].Close()
	}
	open := func(p [4]*net.TCPConn) {
		if _, err := newTunnel(ls, p[1], p[3], nil); err != nil {
			t.Fatal(err)
		}
		through(t, p[0], p[2])
		through(t, p[2], p[0])
	}
	open(pairs[0]) // creates the loop's memory and fills the pools
	before := heap()
	for _, p := range pairs[1:] {
		open(p)
	}
	each := (int64(heap()) - int64(before)) / (n - 1)
	runtime.KeepAlive(pairs)
	t.Logf("%d bytes of heap for each tunnel", each)
	if each > 400 {
		t.Errorf("%d bytes of heap for each of %d idle tunnels, want 400 at most", each, n)
	}
}

// through sends a word from one end of a tunnel to the other, and checks it.
func through(t *testing.T, from, to net.Conn) {
	t.Helper()
	if _, err := io.WriteString(from, "hello"); err != nil {
		t.Fatal(err)
	}
	var b [5]byte
	if _, err := io.ReadFull(to, b[:]); err != nil || string(b[:]) != "hello" {
		t.Fatalf("read %q, %v", b, err)
	}
}

// heap returns the bytes in use after garbage collection. The second collection empties the pools.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
