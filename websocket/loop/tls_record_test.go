package loop

import "testing"

// The boundaries of records are found however the bytes are split. A stream that is not TLS has no boundaries.
func TestRFC8446_5_1_RecordCursor(t *testing.T) {
	stream := []byte{22, 3, 1, 0, 2, 'a', 'b', 23, 3, 3, 0, 0, 23, 3, 3, 1, 4}
	stream = append(stream, make([]byte, 260)...)
	stream = append(stream, 21, 3, 3, 0, 1, 'c')
	ends := map[int]bool{7: true, 12: true, 277: true, 283: true}
	for step := 1; step <= len(stream); step++ {
		var c recordCursor
		c.advance(stream[:1])
		for at := 1; at < len(stream); {
			b := stream[at:min(at+step, len(stream))]
			n := c.inRecord(b)
			if n <= 0 || n > len(b) {
				t.Fatalf("in steps of %d bytes: %d of %d at %d", step, n, len(b), at)
			}
			for i := at + 1; i < at+n; i++ {
				if ends[i] {
					t.Errorf("in steps of %d bytes: from %d on, %d bytes, beyond the end of a record", step, at, n)
				}
			}
			c.advance(b[:n])
			at += n
			if within := c.left > 0 || c.nhead > 0; ends[at] == within {
				t.Errorf("in steps of %d bytes: within a record %v at %d", step, within, at)
			}
		}
		if c.advance(stream[:0]); c.left > 0 || c.nhead > 0 {
			t.Errorf("in steps of %d bytes: %+v at the end", step, c)
		}
	}
	var whole, other recordCursor
	if whole.advance(stream); whole.left > 0 || whole.nhead > 0 {
		t.Errorf("as one piece: %+v at the end", whole)
	}
	other.advance([]byte("GET / HTTP/1.1\r\n"))
	if n := other.inRecord(stream); n != len(stream) {
		t.Errorf("%d bytes of a stream that is not TLS", n)
	}
}
