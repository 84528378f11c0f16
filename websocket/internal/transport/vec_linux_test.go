package transport

import (
	"net"
	"path/filepath"
	"testing"
	"time"
)

// WriteVec writes its two slices in one system call, even on an Accepted. The test uses a socket that preserves message boundaries.
func TestWriteVecIsOneCall(t *testing.T) {
	s, far := socketsOf(t, "unixpacket", filepath.Join(t.TempDir(), "s"))
	known := new(Stream)
	known.Init(Accept(s.Below().(net.Conn), nil))
	far.SetReadDeadline(time.Now().Add(10 * time.Second))
	for name, s := range map[string]*Stream{"a socket": s, "an accepted connection": known} {
		if n, err := s.WriteVec([]byte("head"), []byte("body")); n != 8 || err != nil {
			t.Fatal(name, n, err)
		}
		b := make([]byte, 9)
		if n, err := far.Read(b); err != nil || string(b[:n]) != "headbody" {
			t.Errorf("%s: the first message is %q, %v", name, b[:n], err)
		}
	}
}
