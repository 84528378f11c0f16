package netconn_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/handfast/handfast/websocket"
	"github.com/handfast/handfast/websocket/internal/bounded"
	"github.com/handfast/handfast/websocket/internal/leak"
	"github.com/handfast/handfast/websocket/netconn"
	"github.com/handfast/handfast/websocket/wstest"
)

func TestMain(m *testing.M) { os.Exit(leak.Main(m)) }

// Data arrives unchanged, whatever the sizes of writes and reads, and the stream ends with io.EOF.
func TestStream(t *testing.T) {
	for name, typ := range map[string]websocket.Type{"text": websocket.Text, "binary": websocket.Binary} {
		t.Run(name, func(t *testing.T) {
			client, server := wstest.Pipe(t, nil)
			a, b := netconn.New(client, typ), netconn.New(server, typ)
			text := strings.Repeat("é€𝄞x", 20_000) // splitting at any fixed length would split a character
			sent := make(chan error, 1)
			go func() {
				n, err := io.WriteString(a, text)
				if n != len(text) {
					err = errors.Join(err, io.ErrShortWrite)
				}
				sent <- errors.Join(err, a.Close())
			}()
			got, err := io.ReadAll(b)
			if err != nil || string(got) != text {
				t.Errorf("%d bytes of %d, %v", len(got), len(text), err)
			}
			if err := bounded.Receive(t, sent); err != nil {
				t.Error(err)
			}
			if n, err := b.Read(nil); n != 0 || err != nil {
				t.Errorf("an empty read: %d, %v", n, err)
			}
			if _, err := b.Write([]byte("late")); err == nil {
				t.Error("a write after the end of the stream succeeded")
			}
			if err := b.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// Messages have at most 32 KiB, so that any peer accepts them, and an empty write sends no message.
func TestMessages(t *testing.T) {
	client, server := wstest.Pipe(t, &wstest.Options{Buffer: 1 << 20})
	a := netconn.New(client, websocket.Binary)
	for _, size := range []int{0, 1, 32 << 10, 32<<10 + 1} {
		if n, err := a.Write(make([]byte, size)); n != size || err != nil {
			t.Fatal(n, err)
		}
	}
	for _, want := range []int{1, 32 << 10, 32 << 10, 1} {
		if m, err := server.Read(bounded.Context(t)); err != nil || len(m.Data) != want || m.Type != websocket.Binary {
			t.Errorf("%v message of %d bytes, want %d: %v", m.Type, len(m.Data), want, err)
		}
	}
}

// Reading in small pieces loses nothing, empty messages are skipped, and a message of the other type ends the connection.
func TestReads(t *testing.T) {
	client, server := wstest.Pipe(t, nil)
	a := netconn.New(client, websocket.Binary)
	for _, m := range []websocket.Message{{Type: websocket.Binary, Data: []byte("abc")}, {Type: websocket.Binary}, {Type: websocket.Binary, Data: []byte("d")}, {Type: websocket.Text, Data: []byte("t")}} {
		if err := server.Write(bounded.Context(t), m); err != nil {
			t.Fatal(err)
		}
	}
	var got bytes.Buffer
	buf := make([]byte, 2)
	for range 3 {
		n, err := a.Read(buf)
		if err != nil || n == 0 {
			t.Fatal(n, err)
		}
		got.Write(buf[:n])
		got.WriteByte('|')
	}
	if got.String() != "ab|c|d|" {
		t.Errorf("%s", &got)
	}
	_, err := a.Read(buf)
	if op, ok := errors.AsType[*net.OpError](err); !ok || op.Op != "read" || !strings.Contains(err.Error(), "a text message in a stream of binary messages") {
		t.Error(err)
	}
	if _, err := server.Read(bounded.Context(t)); websocket.CloseCode(err) != websocket.CodeUnsupportedData {
		t.Error(err)
	}
}

// A stream whose peer disconnects without a close frame does not end with io.EOF.
func TestBrokenOff(t *testing.T) {
	client, server := wstest.Pipe(t, nil)
	a := netconn.New(client, websocket.Binary)
	server.CloseNow()
	_, err := a.Read(make([]byte, 1))
	if errors.Is(err, io.EOF) && websocket.CloseCode(err) == websocket.CodeNormal || websocket.CloseCode(err) != websocket.CodeAbnormal {
		t.Error(err)
	}
	if err == io.EOF { //nolint:errorlint // io.Copy compares the error with ==, too
		t.Error("the stream looks complete")
	}
}

// Deadlines interrupt calls in each direction separately, and the connection continues: nothing is lost or sent twice.
func TestDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := wstest.Pipe(nil, &wstest.Options{Buffer: 1 << 10})
		defer client.CloseNow()
		defer server.CloseNow()
		a, b := netconn.New(client, websocket.Binary), netconn.New(server, websocket.Binary)
		began := time.Now()
		a.SetReadDeadline(began.Add(time.Minute))
		timesOut(t, "read", func() error { _, err := a.Read(make([]byte, 1)); return err })
		if d := time.Since(began); d != time.Minute {
			t.Errorf("the read took %v", d)
		}
		a.SetWriteDeadline(time.Now().Add(time.Second))
		sent := 0
		timesOut(t, "write", func() error {
			n, err := a.Write(make([]byte, 100<<10)) // more than the pipe holds
			sent = n
			return err
		})
		if sent != 32<<10 {
			t.Errorf("%d bytes count as written, want the one message that was being sent", sent)
		}
		timesOut(t, "write", func() error { _, err := a.Write([]byte("x")); return err }) // the deadline has passed
		a.SetWriteDeadline(time.Now().Add(time.Second))
		if n, err := a.Write([]byte("x")); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%d bytes count as written while an earlier message is being sent: %v", n, err)
		}
		a.SetDeadline(time.Time{})
		wrote := make(chan error, 1)
		go func() { _, err := a.Write([]byte("end")); wrote <- err }()
		got := make([]byte, sent+3)
		if _, err := io.ReadFull(b, got); err != nil || string(got[sent:]) != "end" {
			t.Errorf("%q, %v", got[sent:], err)
		}
		if err := <-wrote; err != nil {
			t.Error(err)
		}
	})
}

// A changed deadline and Close both end a waiting call.
func TestPendingCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := wstest.Pipe(nil, &wstest.Options{Client: websocket.ConnOptions{CloseTimeout: time.Second, PingInterval: -1}})
		defer server.CloseNow()
		a := netconn.New(client, websocket.Binary)
		result := make(chan error, 1)
		read := func() { _, err := a.Read(make([]byte, 1)); result <- err }
		a.SetReadDeadline(time.Now().Add(time.Minute))
		began := time.Now()
		go read()
		synctest.Wait()
		a.SetReadDeadline(time.Now().Add(time.Hour))
		if err := <-result; !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) != time.Hour {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		a.SetReadDeadline(time.Time{})
		go read()
		synctest.Wait()
		a.SetReadDeadline(time.Now())
		if err := <-result; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(err)
		}
		a.SetReadDeadline(time.Time{})
		go read()
		synctest.Wait()
		a.Close() //nolint:errcheck // Close fails, because the peer does not answer the close frame
		if err := <-result; !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
		for name, f := range map[string]func() error{
			"read":  func() error { _, err := a.Read(make([]byte, 1)); return err },
			"write": func() error { _, err := a.Write([]byte("x")); return err },
			"close": a.Close,
			"set":   func() error { return a.SetDeadline(time.Now()) },
		} {
			if err := f(); !errors.Is(err, net.ErrClosed) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// Close does not truncate a message that a Write was sending when its deadline passed.
func TestCloseAfterDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := wstest.Pipe(nil, &wstest.Options{Buffer: 1 << 10})
		defer client.CloseNow()
		defer server.CloseNow()
		a, b := netconn.New(client, websocket.Binary), netconn.New(server, websocket.Binary)
		a.SetWriteDeadline(time.Now().Add(time.Second))
		n, err := a.Write(make([]byte, 20<<10))
		if n != 20<<10 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal(n, err)
		}
		closed := make(chan error, 1)
		go func() { closed <- a.Close() }()
		if got, err := io.ReadAll(b); len(got) != n || err != nil {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		if err := <-closed; err != nil {
			t.Error(err)
		}
	})
}

func TestAddresses(t *testing.T) {
	client, _ := wstest.Pipe(t, nil)
	a := netconn.New(client, websocket.Binary)
	if a.RemoteAddr().String() != client.RemoteAddr().String() || a.LocalAddr().Network() != "websocket" || a.LocalAddr().String() != "" {
		t.Error(a.RemoteAddr(), a.LocalAddr())
	}
}

func timesOut(t *testing.T, op string, f func() error) {
	t.Helper()
	err := f()
	ne, ok := err.(net.Error) //nolint:errorlint // callers of a net.Conn use a type assertion, too
	if !ok || !ne.Timeout() || !errors.Is(err, os.ErrDeadlineExceeded) || !strings.HasPrefix(err.Error(), op+" websocket") {
		t.Errorf("%s: %v", op, err)
	}
}

// A stream ends with io.EOF if the peer has closed it, even if the peer disconnected before it received the reply to its close frame. The
// stream does not end with io.EOF if this end has closed it, as a server does when it shuts down.
func TestEndsOfStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := wstest.Pipe(t, &wstest.Options{Buffer: 1 << 20})
		a, b := netconn.New(client, websocket.Binary), netconn.New(server, websocket.Binary)
		n, err := a.Write(make([]byte, 100<<10)) // more than b reads ahead, so that b does not notice the end before it reads
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Close(); err == nil {
			t.Error("Close succeeded although the peer has not read")
		}
		if got, err := io.ReadAll(b); len(got) != n || err != nil {
			t.Errorf("%d bytes of %d, %v", len(got), n, err)
		}

		client, server = wstest.Pipe(t, nil)
		a, b = netconn.New(client, websocket.Binary), netconn.New(server, websocket.Binary)
		go a.Read(make([]byte, 1)) //nolint:errcheck // Read only replies to the close frame
		if err := server.Close(websocket.CodeGoingAway, "shutdown"); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Read(make([]byte, 1)); websocket.CloseCode(err) != websocket.CodeGoingAway {
			t.Errorf("a stream that this end has closed: %v", err)
		}
	})
}
