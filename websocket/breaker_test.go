package websocket

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/handfast/handfast/websocket/frame"
	"github.com/handfast/handfast/websocket/handshake"
	"github.com/handfast/handfast/websocket/internal/bounded"
	"github.com/handfast/handfast/websocket/protocol"
)

// TestCloseWhileAMessageIsStreamed checks that the Writer fails, but not the closing handshake.
func TestCloseWhileAMessageIsStreamed(t *testing.T) {
	for _, compressed := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			c, peer := rawPipe(t, protocol.RoleServer, &ConnOptions{PingInterval: -1})
			if compressed {
				compressLater(c, handshake.Deflate{}, &Compression{})
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
			wantClose(t, err, CodeGoingAway, "bye", false)
			w.Close()
			peer.send(peer.frame(frame.Close, true, closeBody(CodeGoingAway, "")))
			if err := <-closed; err != nil {
				t.Errorf("Close returned %v", err)
			}
		})
	}
}

// TestReaderAfterAReadThatSawOnlyAHeader checks that Reader inflates a compressed message whose header an interrupted Read has
// received.
func TestReaderAfterAReadThatSawOnlyAHeader(t *testing.T) {
	c, peer := rawCompressed(t, handshake.Deflate{}, nil)
	f := rsv1(peer.frame(frame.Text, true, helloCompressed))
	if _, err := readAndCancel(t, c, true, func() { peer.send(f[:6]) }); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	peer.send(f[6:])
	_, r, err := c.Reader(bounded.Context(t))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(r); err != nil || string(got) != "Hello" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestTheLargestMaxMessage(t *testing.T) {
	client, server := compressedPair(t, handshake.Deflate{}, &ConnOptions{MaxMessage: math.MaxInt64})
	body := strings.Repeat("compressed ", 100)
	go client.Write(bounded.Context(t), Message{Text, []byte(body)})
	if m, err := server.Read(bounded.Context(t)); err != nil || string(m.Data) != body {
		t.Errorf("%d bytes, %v", len(m.Data), err)
	}
}

// TestConcurrentPings checks that a Ping that receives its pong wakes the other waiting Pings.
func TestConcurrentPings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, peer := rawPipe(t, protocol.RoleServer, &ConnOptions{PingInterval: -1})
		pongs := make(chan error, 2)
		ping := func() { _, err := c.Ping(t.Context()); pongs <- err }
		go ping()
		h, one := peer.next()
		go ping()
		_, two := peer.next()
		if h.Opcode != frame.Ping {
			t.Fatal(h)
		}
		peer.send(peer.frame(frame.Pong, true, one))
		if err := <-pongs; err != nil {
			t.Fatal(err)
		}
		peer.send(peer.frame(frame.Pong, true, two))
		if err := <-pongs; err != nil {
			t.Fatal(err)
		}
	})
}

// TestPingWhoseReaderLeaves checks a Ping while a concurrent Read, which would have received the pong, returns a message instead.
func TestPingWhoseReaderLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, peer := rawPipe(t, protocol.RoleServer, &ConnOptions{PingInterval: -1})
		read := make(chan error, 1)
		go func() { _, err := c.Read(t.Context()); read <- err }()
		synctest.Wait()
		pong := make(chan error, 1)
		go func() { _, err := c.Ping(t.Context()); pong <- err }()
		_, payload := peer.next()
		peer.send(peer.frame(frame.Text, true, "a message"))
		if err := <-read; err != nil {
			t.Fatal(err)
		}
		peer.send(peer.frame(frame.Pong, true, payload))
		if err := <-pong; err != nil {
			t.Fatal(err)
		}
	})
}

// TestReaderKeepsItsTypeWhileOthersReadOn checks that a Ping or keepalive that reads ahead does not change the type of a compressed
// message that is being read in parts.
func TestReaderKeepsItsTypeWhileOthersReadOn(t *testing.T) {
	for _, tt := range []struct{ first, second frame.Opcode }{{frame.Binary, frame.Text}, {frame.Text, frame.Text}, {frame.Text, frame.Binary}} {
		synctest.Test(t, func(t *testing.T) {
			c, peer := rawPipe(t, protocol.RoleServer, nil)
			compressLater(c, handshake.Deflate{}, &Compression{})
			go io.Copy(io.Discard, peer.Conn)
			body := strings.Repeat("✓", 1000)
			if tt.first == frame.Binary {
				body = strings.Repeat("\xff", 3000)
			}
			z := deflateOf(t, []byte(body))
			go peer.Write(rsv1(peer.frame(tt.first, true, z)))
			_, r, err := c.Reader(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			got := make([]byte, 100)
			if _, err := io.ReadFull(r, got); err != nil {
				t.Fatal(err)
			}
			go func() {
				peer.Write(peer.frame(tt.second, false, "n"))
				for range 10 {
					<-time.After(10 * time.Second)
					peer.Write(peer.frame(frame.Pong, true, ""))
				}
				peer.Write(peer.frame(frame.Continuation, true, "ext"))
			}()
			ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
			defer cancel()
			c.Ping(ctx) // the pong does not arrive, and keepalive checks a few times in the meantime
			rest, err := io.ReadAll(r)
			if err != nil || string(got)+string(rest) != body {
				t.Errorf("%v, then %v: %d bytes, %v", tt.first, tt.second, len(rest), err)
			}
			if m, err := c.Read(t.Context()); err != nil || string(m.Data) != "next" {
				t.Errorf("%v, then %v: %q, %v", tt.first, tt.second, m.Data, err)
			}
		})
	}
}

// TestSendThatWaitedForRoom checks that a message resets the compressor only when it is queued: while its SendPrepared waits for
// room, other calls may compress messages.
func TestSendThatWaitedForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, peer := blockedConn(t, writeQueue{bytes: 10, full: QueueBlock})
		compressLater(c, handshake.Deflate{}, &Compression{})
		c.SendPrepared(prepare(t, "fills the queue"))
		go c.SendPrepared(prepare(t, strings.Repeat("shared by all ", 100)))
		synctest.Wait()
		stale := func() bool {
			c.mu.Lock()
			defer c.mu.Unlock()
			return c.compression.stale
		}
		if stale() {
			t.Error("a message that is not queued counts as sent")
		}
		peer.expect(frame.Text, "under way")
		peer.expect(frame.Text, "fills the queue")
		if h, _ := peer.next(); h.RSV != frame.RSV1 || !stale() {
			t.Errorf("%+v, stale %v", h, stale())
		}
	})
}

// TestSendOfMoreThanTheQueueHolds checks that the queue limit only counts bytes that the kernel has not accepted.
func TestSendOfMoreThanTheQueueHolds(t *testing.T) {
	for _, full := range []QueuePolicy{QueueClose, QueueDropOldest, QueueDropNewest} {
		c, peer := rawTCP(t, protocol.RoleServer, &ConnOptions{QueueBytes: 10, QueueFull: full})
		if err := c.SendPrepared(prepare(t, "message 1"), prepare(t, "message 2"), prepare(t, "message 3")); err != nil {
			t.Errorf("policy %d: %v", full, err)
		}
		for _, want := range []string{"message 1", "message 2", "message 3"} {
			peer.expect(frame.Text, want)
		}
	}
}

// TestSendThatIsQueuedInPart checks that the queued messages of a SendPrepared are sent, even if there was no room for all of them.
func TestSendThatIsQueuedInPart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, peer := rawPipe(t, protocol.RoleServer, &ConnOptions{PingInterval: -1, QueueBytes: 10, QueueFull: QueueDropNewest})
		if err := c.SendPrepared(prepare(t, "message 1"), prepare(t, "message 2")); err != ErrQueueFull {
			t.Errorf("SendPrepared returned %v", err)
		}
		peer.expect(frame.Text, "message 1")
	})
}

// TestWriteDoesNotWaitForTheMessagesOfOthers checks that a Write returns once its own frame has been sent, although messages that
// were queued later cannot be sent.
func TestWriteDoesNotWaitForTheMessagesOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, peer := rawPipe(t, protocol.RoleServer, &ConnOptions{PingInterval: -1})
		wrote := make(chan error, 1)
		go func() { wrote <- c.Write(context.Background(), Message{Text, []byte("mine")}) }()
		synctest.Wait()
		if err := c.SendPrepared(prepare(t, "another's")); err != nil {
			t.Fatal(err)
		}
		peer.expect(frame.Text, "mine") // the peer reads nothing more
		synctest.Wait()
		select {
		case err := <-wrote:
			if err != nil {
				t.Error(err)
			}
		default:
			t.Error("Write waits for a message that is not its own")
		}
		c.CloseNow()
	})
}

// TestJoinedWriteWhoseContextEndsAsItGoesOut checks that the connection is only closed if the frame could not be sent completely.
func TestJoinedWriteWhoseContextEndsAsItGoesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for range 50 {
			c, peer := rawPipe(t, protocol.RoleServer, &ConnOptions{PingInterval: -1})
			go c.Write(context.Background(), Message{Text, []byte("first")})
			synctest.Wait()
			ctx, cancel := context.WithCancel(context.Background())
			wrote := make(chan error, 1)
			go func() { wrote <- c.Write(ctx, Message{Text, []byte("joins")}) }()
			synctest.Wait()
			peer.expect(frame.Text, "first")
			peer.expect(frame.Text, "joins")
			cancel()
			if err := <-wrote; err != nil || c.ended() != nil {
				t.Fatalf("Write returned %v, the connection %v", err, c.ended())
			}
		}
	})
}

// TestJoinedWriteReturnsHowTheConnectionEnded checks that a joined write returns the same error as every other call.
func TestJoinedWriteReturnsHowTheConnectionEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for range 20 {
			c, peer := rawPipe(t, protocol.RoleServer, &ConnOptions{PingInterval: -1})
			wrote := make(chan error, 4)
			for range 4 {
				go func() { wrote <- c.Write(context.Background(), Message{Text, []byte("x")}) }()
			}
			synctest.Wait()
			peer.expect(frame.Text, "x")
			synctest.Wait() // the other messages are being sent together
			<-wrote
			c.CloseNow()
			for range 3 {
				wantClose(t, <-wrote, CodeAbnormal, "", false)
			}
		}
	})
}

// TestJoinedWriteThatIsStuck checks that the context interrupts a joined write and then closes the connection, as for any write
// that has started.
func TestJoinedWriteThatIsStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, peer := rawPipe(t, protocol.RoleServer, &ConnOptions{PingInterval: -1})
		go c.Write(context.Background(), Message{Text, []byte("first")})
		synctest.Wait()
		ctx, cancel := context.WithCancel(context.Background())
		wrote := make(chan error, 1)
		go func() { wrote <- c.Write(ctx, Message{Text, []byte("joins")}) }()
		synctest.Wait()
		peer.expect(frame.Text, "first")
		synctest.Wait()
		cancel()
		err := <-wrote
		wantClose(t, err, CodeAbnormal, "", false)
		if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "partly written") {
			t.Errorf("Write returned %v", err)
		}
	})
}

// TestCloseBesideAWriteWhoseContextEnds checks that a write that is complete when its context ends does not reduce the time limit
// for the close frame.
func TestCloseBesideAWriteWhoseContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, peer := rawPipe(t, protocol.RoleServer, &ConnOptions{PingInterval: -1})
		ctx, cancel := context.WithCancel(context.Background())
		wrote := make(chan error, 1)
		go func() { wrote <- c.Write(ctx, Message{Text, []byte("done")}) }()
		synctest.Wait()
		c.mu.Lock() // delays the return of Write until its context has ended
		peer.expect(frame.Text, "done")
		c.outbox.interruptWrite(errCtx)
		c.mu.Unlock()
		cancel()
		closed := make(chan error, 1)
		go func() { closed <- c.Close(CodeNormal, "") }()
		if err := <-wrote; err != nil {
			t.Errorf("Write returned %v", err)
		}
		peer.expect(frame.Close, closeBody(CodeNormal, ""))
		peer.send(peer.frame(frame.Close, true, closeBody(CodeNormal, "")))
		if err := <-closed; err != nil {
			t.Errorf("Close returned %v", err)
		}
	})
}

// blockingStream is an io.ReadWriteCloser whose peer neither reads nor writes.
type blockingStream struct {
	closed chan struct{}
	once   sync.Once
}

func (s *blockingStream) Read([]byte) (int, error) { <-s.closed; return 0, io.EOF }

func (s *blockingStream) Write([]byte) (int, error) { <-s.closed; return 0, io.ErrClosedPipe }

func (s *blockingStream) Close() error { s.once.Do(func() { close(s.closed) }); return nil }

// TestABareStreamIsClosed checks that a stream without deadlines is closed, even while a write to it blocks.
func TestABareStreamIsClosed(t *testing.T) {
	for name, end := range map[string]func(c *Conn) error{
		"CloseNow": (*Conn).CloseNow,
		"Close":    func(c *Conn) error { return c.Close(CodeNormal, "") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &blockingStream{closed: make(chan struct{})}
				c := overStream(s, protocol.RoleServer, &ConnOptions{PingInterval: -1})
				c.Write(t.Context(), Message{Text, []byte("taken, and stuck")})
				end(c)
				select {
				case <-s.closed:
				case <-time.After(time.Minute):
					t.Error("the stream was not closed")
					s.Close()
				}
			})
		})
	}
}
