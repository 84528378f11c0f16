package websocket

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/handfast/handfast/websocket/frame"
	"github.com/handfast/handfast/websocket/internal/handshake"
)

// TestCloseWhileAMessageIsStreamed: the Writer fails, the closing handshake does not.
func TestCloseWhileAMessageIsStreamed(t *testing.T) {
	for _, compressed := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			c, peer := rawPipe(t, Server, &ConnOptions{PingInterval: -1})
			if compressed {
				c.compress(handshake.Deflate{}, &Compression{})
			}
			w, err := c.Writer(t.Context(), Binary)
			if err != nil {
				t.Fatal(err)
			}
			closing := make(chan struct{})
			go func() {
				for h := (frame.Header{}); h.Opcode != frame.Close; {
					h, _ = peer.next()
				}
				close(closing)
			}()
			noise := make([]byte, 6*streamChunk)
			rand.Read(noise)
			if _, err := w.Write(noise); err != nil {
				t.Fatal(err)
			}
			closed := make(chan error, 1)
			go func() { closed <- c.Close(CodeGoingAway, "bye") }()
			<-closing
			_, err = w.Write(noise)
			wantClose(t, err, CodeGoingAway, "bye", Local)
			w.Close()
			peer.send(peer.frame(frame.Close, true, closeBody(CodeGoingAway, "")))
			if err := <-closed; err != nil {
				t.Errorf("Close returned %v", err)
			}
		})
	}
}

// TestReaderAfterAReadThatSawOnlyAHeader: a compressed message is inflated whoever takes it up.
func TestReaderAfterAReadThatSawOnlyAHeader(t *testing.T) {
	c, peer := rawZipped(t, handshake.Deflate{}, nil)
	f := rsv1(peer.frame(frame.Text, true, helloZipped))
	if _, err := readAndCancel(t, c, true, func() { peer.send(f[:6]) }); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	peer.send(f[6:])
	_, r, err := c.Reader(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(r); err != nil || string(got) != "Hello" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestTheLargestMaxMessage(t *testing.T) {
	client, server := zipped(t, handshake.Deflate{}, &ConnOptions{MaxMessage: math.MaxInt64})
	body := strings.Repeat("compressed ", 100)
	go client.Write(context.Background(), Message{Text, []byte(body)})
	if m, err := server.Read(t.Context()); err != nil || string(m.Data) != body {
		t.Errorf("%d bytes, %v", len(m.Data), err)
	}
}
