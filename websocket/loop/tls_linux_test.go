package loop_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/handfast/handfast/websocket/loop"
)

// secure is a Handler that echoes over TLS.
type secure struct {
	fd  loop.FD
	sec *loop.TLS
	end chan error
}

func (*secure) Begin(*loop.Driver, loop.Events) bool { return true }

func (*secure) Lost() {}

func (s *secure) Serve(d *loop.Driver, why loop.Events) {
	var err error
	for range 2 {
		if s.sec.Queued() > 0 {
			break
		}
		var n int
		if n, err = s.sec.Read(d.Buffer()); n > 0 {
			s.sec.Write(d.Buffer()[:n]) //nolint:errcheck // if this fails, the test fails, too
		}
		if err != nil {
			break
		}
	}
	s.fd.Lock()
	defer s.fd.Unlock()
	want := loop.Readable
	if _, flushed := s.sec.Flush(); flushed == loop.ErrAgain {
		want = loop.Writable
	} else if s.sec.More() {
		s.fd.Wake()
	}
	if err != nil && err != loop.ErrAgain {
		s.fd.Close()
		s.end <- err
		return
	}
	s.fd.Arm(want) //nolint:errcheck // if this fails, the test fails, too
}

// onTLS returns a client that is connected to an echo over TLS on ls.
func onTLS(t *testing.T, ls *loop.Loops) (*tls.Conn, *secure) {
	t.Helper()
	a, b := tcpPair(t)
	near := tls.Server(&loop.Under{Conn: b}, &tls.Config{Certificates: []tls.Certificate{localhost()}})
	far := tls.Client(a, &tls.Config{InsecureSkipVerify: true})
	shook := make(chan error, 1)
	go func() { shook <- near.Handshake() }()
	if err := errors.Join(far.Handshake(), receive(t, shook)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	sec, socket, err := loop.NewTLS(near)
	if err != nil {
		t.Fatal(err)
	}
	place, err := ls.Take(socket)
	if err != nil {
		t.Fatal(err)
	}
	s := &secure{sec: sec, end: make(chan error, 1)}
	sec.On(&s.fd)
	place.Add(&s.fd, s)
	s.fd.Lock()
	s.fd.Wake()
	s.fd.Unlock()
	return far, s
}

var localhost = sync.OnceValue(func() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
})

// All data is echoed, even if the client starts to read late.
func TestTLSBackpressure(t *testing.T) {
	far, s := onTLS(t, tunnels(t))
	said := bytes.Repeat([]byte("0123456789abcdef"), 1<<20) // 16 MiB: more than the socket buffers hold
	wrote := make(chan error, 1)
	go func() {
		_, err := far.Write(said)
		wrote <- err
	}()
	select {
	case err := <-wrote:
		t.Fatalf("all data was accepted, although the client reads nothing: %v", err)
	default:
	}
	got := make([]byte, len(said))
	if _, err := io.ReadFull(far, got); err != nil || !bytes.Equal(got, said) {
		t.Fatalf("the echo is missing or differs: %v", err)
	}
	if err := errors.Join(receive(t, wrote), far.CloseWrite()); err != nil {
		t.Fatal(err)
	}
	receive(t, s.end)
}

// The end of a stream with a close_notify is distinguished from a truncation.
func TestRFC8446_6_1_TruncatedTLS(t *testing.T) {
	ls := tunnels(t)
	for name, tt := range map[string]struct {
		end  func(*tls.Conn) error
		want error
	}{
		"close_notify": {(*tls.Conn).CloseWrite, io.EOF},
		"cut":          {func(c *tls.Conn) error { return c.NetConn().(*net.TCPConn).CloseWrite() }, loop.ErrTruncated},
		"within a record": {func(c *tls.Conn) error {
			tcp := c.NetConn().(*net.TCPConn)
			_, err := tcp.Write([]byte{23, 3, 3, 0, 99, 1})
			return errors.Join(err, tcp.CloseWrite())
		}, loop.ErrTruncated},
	} {
		t.Run(name, func(t *testing.T) {
			far, s := onTLS(t, ls)
			if _, err := far.Write([]byte("hello")); err != nil {
				t.Fatal(err)
			}
			if err := tt.end(far); err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(io.LimitReader(far, 5)); string(got) != "hello" {
				t.Errorf("%q was echoed, %v", got, err)
			}
			if err := receive(t, s.end); err != tt.want {
				t.Errorf("the connection ended with %v, want %v", err, tt.want)
			}
		})
	}
}

// The queue for a peer that does not read is bounded, whatever replies the peer requests.
func TestTLSQueueIsBounded(t *testing.T) {
	_, s := onTLS(t, tunnels(t))
	var err error
	b, n := make([]byte, 16<<10), 0
	for ; err == nil && n < 100; n++ {
		_, err = s.sec.Write(b) // without Flush
	}
	if queued := s.sec.Queued(); err == nil || queued > 300<<10 || queued < 256<<10 {
		t.Errorf("%d bytes are queued after %d writes, the last with %v", queued, n, err)
	}
	s.sec.Drop()
	if queued := s.sec.Queued(); queued != 0 {
		t.Errorf("%d bytes are queued", queued)
	}
}

// A *tls.Conn that is not based on an Under cannot be taken, and a truncation of its stream is not detected.
func TestTLSOnAnotherConn(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	conn := tls.Client(a, &tls.Config{ServerName: "localhost"})
	if _, _, err := loop.NewTLS(conn); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("taken: %v", err)
	}
	if err := loop.Truncated(conn, io.EOF); err != io.EOF {
		t.Error(err)
	}
}
