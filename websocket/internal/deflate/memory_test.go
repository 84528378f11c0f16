package deflate

import (
	"bytes"
	"io"
	"runtime"
	"testing"

	"github.com/handfast/handfast/websocket/internal/allocs"
)

// connection contains the memory for permessage-deflate that a connection retains.
type connection struct {
	out Compressor
	in  Decompressor
}

// TestBytesPerConnection measures the memory of idle connections that have exchanged messages.
func TestBytesPerConnection(t *testing.T) {
	const connections = 50
	tests := []struct {
		name    string
		window  Window
		size, n int // size and number of messages
		atMost  int
	}{
		{name: "15 bits, takeover, much sent", window: Window{Bits: 15, Takeover: true}, size: 20000, n: 3, atMost: 37500},
		{name: "15 bits, takeover, one small message", window: Window{Bits: 15, Takeover: true}, size: 100, n: 1, atMost: 1000},
		{name: "15 bits, takeover, one of 1 KiB", window: Window{Bits: 15, Takeover: true}, size: 1024, n: 1, atMost: 2600},
		{name: "10 bits, takeover, much sent", window: Window{Bits: 10, Takeover: true}, size: 20000, n: 3, atMost: 2600},
		{name: "8 bits, takeover, much sent", window: Window{Bits: 8, Takeover: true}, size: 20000, n: 3, atMost: 1000},
		{name: "no takeover, much sent", window: Window{Bits: 15}, size: 20000, n: 3, atMost: 300},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			scratch := make([]byte, 0, 64<<10)
			message := jsonText(source(6), c.size)
			peer := Compressor{Window: c.window}
			var payloads [][]byte
			for range c.n {
				payloads = append(payloads, peer.Append(nil, message))
			}
			all := make([]*connection, connections)
			before := heap()
			for i := range all {
				all[i] = &connection{Compressor{Window: c.window}, Decompressor{Window: c.window}}
				for _, p := range payloads {
					got, err := all[i].in.Append(scratch[:0], p, -1)
					if err != nil || !bytes.Equal(got, message) {
						t.Fatal(err)
					}
					all[i].out.Append(scratch[:0], message)
				}
			}
			each := (int(heap()) - int(before)) / connections
			t.Logf("%d bytes per connection", each)
			if each > c.atMost {
				t.Errorf("%d bytes per connection, want at most %d", each, c.atMost)
			}
			runtime.KeepAlive(all)
			runtime.KeepAlive(scratch)
			runtime.KeepAlive(payloads)
		})
	}
}

// heap returns the size of the live heap when the pools are empty.
func heap() uint64 {
	for range 3 {
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestAllocations counts the allocations for a message once pools and windows are filled.
func TestAllocations(t *testing.T) {
	r := source(4)
	for _, takeover := range []bool{false, true} {
		for _, size := range []int{64, 1024, 16384, 50000} {
			w := Window{Takeover: takeover}
			c, d := Compressor{Window: w}, Decompressor{Window: w}
			message := jsonText(r, size)
			var packed, got []byte
			var err error
			one := func() {
				packed = c.Append(packed[:0], message)
				if got, err = d.Append(got[:0], packed, int64(size)); err != nil {
					t.Fatal(err)
				}
			}
			one()
			for d.history.n < int32(d.Window.Size()) && takeover {
				one()
			}
			if n := allocs.PerRun(20, one); n >= 1 && !raceEnabled {
				t.Errorf("%d bytes, takeover %v: %v allocations", size, takeover, n)
			}
			if len(got) != size {
				t.Errorf("%d bytes of %d", len(got), size)
			}
			shared := func() { packed = AppendShared(packed[:0], message, w) }
			if n := allocs.PerRun(20, shared); n >= 1 && !raceEnabled {
				t.Errorf("%d bytes, shared: %v allocations", size, n)
			}
		}
	}
}

// TestAllocations_Stream checks that a Reader and a Writer take one allocation each, plus the writer's output buffer.
func TestAllocations_Stream(t *testing.T) {
	message := jsonText(source(4), 40000)
	var c Compressor
	var d Decompressor
	packed := c.Append(nil, message)
	src := bytes.NewReader(nil)
	buf := make([]byte, 4096)
	if n := allocs.PerRun(20, func() {
		src.Reset(packed)
		r := d.Reader(src, -1)
		for err := error(nil); err != io.EOF; _, err = r.Read(buf) {
			if err != nil {
				t.Fatal(err)
			}
		}
	}); n > 1 && !raceEnabled {
		t.Errorf("Reader: %v allocations", n)
	}
	total := 0
	if n := allocs.PerRun(20, func() {
		w := c.NewWriter(func(p []byte, _ bool) error { total += len(p); return nil })
		_, _ = w.Write(message)
		_ = w.Close()
	}); n > 8 && !raceEnabled {
		t.Errorf("Writer: %v allocations", n)
	}
	if total == 0 {
		t.Error("nothing was written")
	}
}
