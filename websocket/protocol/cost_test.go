package protocol

import (
	"testing"
	"unsafe"

	"github.com/handfast/handfast/websocket/frame"
)

// A Machine exists as long as its connection, even if the connection is idle: with a million connections, each byte of a Machine costs a
// megabyte. Its size was 144 bytes when this test was written, and 160 is the next size class of the allocator. Before you raise the limit,
// consider whether the new field is needed while the connection is idle.
const maxMachineSize = 160

func TestMachineIsSmall(t *testing.T) {
	if size := unsafe.Sizeof(Machine{}); size > maxMachineSize {
		t.Errorf("a Machine takes %d bytes, more than %d", size, maxMachineSize)
	}
}

// TestStepAllocatesNothingForData checks that Step allocates nothing, as documented, whatever a message's type, length and
// fragments are, and however the network splits it.
func TestStepAllocatesNothingForData(t *testing.T) {
	for _, tt := range []struct {
		name   string
		client bool
		frames []string
	}{
		{"empty", false, []string{`text fin masked`}},
		{"short text", false, []string{`text fin masked "Hello, ✓ 😀"`}},
		{"64 KiB binary", false, []string{`binary fin masked "x"*65536`}},
		{"unmasked", true, []string{`binary fin "x"*300`}},
		{"fragments", false, []string{`text masked x:f09f`, `cont masked`, `cont fin masked x:9880`}},
		{"compressed", true, []string{`text rsv1 x:f248`, `cont fin x:cdc9c90700`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var stream []byte
			for _, f := range tt.frames {
				b, err := encodeFrame(f)
				if err != nil {
					t.Fatal(err)
				}
				stream = append(stream, b...)
			}
			m := Machine{Client: tt.client, Compressed: true, Limits: &Limits{MaxMessage: 1 << 20, Fragments: 10}}
			buf := make([]byte, len(stream))
			for _, piece := range []int{len(stream), 1, 7, 1000} {
				messages := 0
				allocs := testing.AllocsPerRun(10, func() {
					copy(buf, stream)
					for from := 0; from < len(buf); {
						ev, n, err := m.Step(buf[from:min(from+piece, len(buf))])
						if err != nil {
							t.Fatal(err)
						}
						if ev.Last {
							messages++
						}
						from += n
					}
				})
				if allocs != 0 || messages != 11 { // AllocsPerRun runs once more, to warm up
					t.Errorf("in pieces of %d bytes: %v allocations per run, %d messages", piece, allocs, messages)
				}
			}
		})
	}
}

// A control frame that is complete in the received bytes is used in place. Only an incomplete frame is copied.
func TestStepAllocatesNothingForAWholePong(t *testing.T) {
	var m Machine
	b := framed(true, frame.Pong, "Hello")
	allocs := testing.AllocsPerRun(100, func() {
		if ev, n, err := m.Step(b); ev.Kind != Pong || n != len(b) || err != nil {
			t.Fatalf("%+v, %d, %v", ev, n, err)
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

// TestWritingAllocatesNothing checks that appending frames to a buffer with enough capacity allocates nothing.
func TestWritingAllocatesNothing(t *testing.T) {
	m := Machine{Client: true}
	buf := make([]byte, 0, 256)
	payload := []byte("Hello")
	allocs := testing.AllocsPerRun(100, func() {
		h, err := m.BeginFrame(true, false, true, len(payload), testKey)
		if err != nil {
			t.Fatal(err)
		}
		out, err := m.AppendPing(append(frame.Append(buf, h), payload...), payload, useTestKey)
		if err != nil || len(out) == 0 {
			t.Fatal(err)
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}
