package websocket

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/handfast/handfast/websocket/frame"
	"github.com/handfast/handfast/websocket/internal/bounded"
	"github.com/handfast/handfast/websocket/protocol"
)

// TestWritesFromManyGoroutinesAreWhole concurrently sends whole messages, streamed messages and pings.
func TestWritesFromManyGoroutinesAreWhole(t *testing.T) {
	client, server := tcpConns(t, nil)
	const writers, each = 8, 50
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			for j := range each {
				body := bytes.Repeat([]byte(fmt.Sprintf("%d/%d;", i, j)), 1+j*137%5000)
				var err error
				switch j % 3 {
				case 0:
					err = client.Write(bounded.Context(t), Message{Binary, body})
				case 1:
					var w io.WriteCloser
					if w, err = client.Writer(bounded.Context(t), Binary); err == nil {
						_, err = w.Write(body)
						err = errors.Join(err, w.Close())
					}
				case 2:
					go client.Ping(client.Context())
					err = client.Write(bounded.Context(t), Message{Text, body})
				}
				if err != nil {
					t.Errorf("writer %d: %v", i, err)
				}
			}
		})
	}
	next := make([]int, writers)
	for range writers * each {
		m, err := server.Read(bounded.Context(t))
		if err != nil {
			t.Fatal(err)
		}
		var i, j int
		head, _, _ := strings.Cut(string(m.Data), ";")
		fmt.Sscanf(head, "%d/%d", &i, &j)
		if strings.Trim(string(m.Data), head+";") != "" || len(m.Data) != (len(head)+1)*(1+j*137%5000) {
			t.Fatalf("message %s is not whole: %d bytes", head, len(m.Data))
		}
		if j != next[i] {
			t.Errorf("writer %d: message %d arrived, want %d", i, j, next[i])
		}
		next[i]++
	}
	wg.Wait()
}

func TestASecondReaderGetsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, peer := rawPipe(t, protocol.RoleServer, nil)
		first := make(chan error, 1)
		go func() {
			m, err := c.Read(context.Background())
			if string(m.Data) != "for the first" {
				t.Errorf("%q", m.Data)
			}
			first <- err
		}()
		synctest.Wait()
		if _, err := c.Read(t.Context()); err != ErrConcurrentRead {
			t.Errorf("Read returned %v", err)
		}
		if _, _, err := c.Reader(t.Context()); err != ErrConcurrentRead {
			t.Errorf("Reader returned %v", err)
		}
		peer.send(peer.frame(frame.Text, true, "for the first"))
		if err := <-first; err != nil {
			t.Error(err)
		}
	})
}

func TestReaderAfterTheNextRead(t *testing.T) {
	c, peer := rawTCP(t, protocol.RoleServer, nil)
	peer.send(peer.frame(frame.Text, true, "one"), peer.frame(frame.Text, true, "two"), peer.frame(frame.Text, true, "three"))
	_, one, err := c.Reader(bounded.Context(t))
	if err != nil {
		t.Fatal(err)
	}
	_, two, err := c.Reader(bounded.Context(t)) // skips the first message
	if err != nil {
		t.Fatal(err)
	}
	if _, err := one.Read(make([]byte, 10)); err != errStaleReader {
		t.Errorf("the first reader returned %v", err)
	}
	if got, err := io.ReadAll(two); err != nil || string(got) != "two" {
		t.Errorf("%q, %v", got, err)
	}
	if m, err := c.Read(bounded.Context(t)); err != nil || string(m.Data) != "three" {
		t.Errorf("%q, %v", m.Data, err)
	}
	if _, err := two.Read(make([]byte, 10)); err != io.EOF {
		t.Errorf("a reader at its end returned %v", err)
	}
}

func TestReaderInSmallPieces(t *testing.T) {
	c, peer := rawTCP(t, protocol.RoleServer, nil)
	peer.send(fragments(peer))
	typ, r, err := c.Reader(bounded.Context(t))
	if err != nil || typ != Text {
		t.Fatal(typ, err)
	}
	var got []byte
	buf := make([]byte, 3)
	for {
		n, err := r.Read(buf)
		got = append(got, buf[:n]...)
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if string(got) != fragmentsText {
		t.Errorf("%q", got)
	}
}

func TestWriterFragmentsAndDelaysOtherMessages(t *testing.T) {
	client, server := tcpConns(t, &ConnOptions{MaxMessage: -1})
	w, err := client.Writer(bounded.Context(t), Text)
	if err != nil {
		t.Fatal(err)
	}
	other := make(chan error, 1)
	go func() { other <- client.Write(bounded.Context(t), Message{Text, []byte("after")}) }()
	want := strings.Repeat("✓", 20000)
	go func() {
		for _, piece := range []string{want[:1], want[1:40001], want[40001:]} { // split within UTF-8 sequences
			if n, err := io.WriteString(w, piece); err != nil || n != len(piece) {
				t.Errorf("%d, %v", n, err)
			}
		}
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	}()
	if m, err := server.Read(bounded.Context(t)); err != nil || string(m.Data) != want {
		t.Errorf("%d bytes, %v", len(m.Data), err)
	}
	if m, err := server.Read(bounded.Context(t)); err != nil || string(m.Data) != "after" {
		t.Errorf("%q, %v", m.Data, err)
	}
	if err := bounded.Receive(t, other); err != nil {
		t.Error(err)
	}
	if _, err := w.Write([]byte("x")); err == nil {
		t.Error("a closed writer accepted more data")
	}
}

func TestRFC6455_5_6_TextIsUTF8(t *testing.T) {
	c, peer := rawTCP(t, protocol.RoleServer, nil)
	if err := c.Write(bounded.Context(t), Message{Text, []byte("\xff")}); err != errInvalidUTF8 {
		t.Errorf("Write returned %v", err)
	}
	w, err := c.Writer(bounded.Context(t), Text)
	if err != nil {
		t.Fatal(err)
	}
	w.Write([]byte("\xf0\x9f"))
	if err := w.Close(); !errors.Is(err, errInvalidUTF8) { // nothing was sent, so the connection stays open
		t.Errorf("Close returned %v", err)
	}
	if err := c.Write(bounded.Context(t), Message{Text, []byte("fine")}); err != nil {
		t.Error(err)
	}
	peer.expect(frame.Text, "fine")
	if err := c.Write(bounded.Context(t), Message{Data: []byte("no type")}); err == nil {
		t.Error("a message without a type was sent")
	}
}

// plainStream is a stream that does not support deadlines.
type plainStream struct{ io.ReadWriteCloser }

func TestAnyReadWriteCloserWillDo(t *testing.T) {
	near, far := tcpPair(t)
	client := overStream(plainStream{near}, protocol.RoleClient, nil)
	server := overStream(plainStream{far}, protocol.RoleServer, nil)
	go echo(server)
	if err := client.Write(bounded.Context(t), Message{Text, []byte("hello")}); err != nil {
		t.Fatal(err)
	}
	if m, err := client.Read(bounded.Context(t)); err != nil || string(m.Data) != "hello" {
		t.Fatalf("%q, %v", m.Data, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := client.Read(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if err := client.Close(CodeNormal, ""); err != nil {
		t.Error(err)
	}
}
