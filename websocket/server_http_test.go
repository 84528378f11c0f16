package websocket

import (
	"bytes"
	"io"
	"net"
	"strings"
	"testing"
)

// readsFrom is a connection that implements io.ReaderFrom.
type readsFrom struct {
	net.Conn
	sent bytes.Buffer
}

func (c *readsFrom) ReadFrom(src io.Reader) (int64, error) { return c.sent.ReadFrom(src) }

// A file is sent with the connection's ReadFrom method if it has one, and otherwise by copying.
func TestReplayedReadFrom(t *testing.T) {
	able := new(readsFrom)
	if n, err := (&replayed{Conn: able}).ReadFrom(strings.NewReader("file")); n != 4 || err != nil || able.sent.String() != "file" {
		t.Errorf("%d, %v, %q", n, err, able.sent.String())
	}
	near, far := net.Pipe()
	defer near.Close()
	go func() {
		(&replayed{Conn: far}).ReadFrom(strings.NewReader("copied")) //nolint:errcheck // the test checks what the other end reads
		far.Close()
	}()
	if got, err := io.ReadAll(near); string(got) != "copied" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}
