package websocket

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/handfast/handfast/websocket/frame"
	"github.com/handfast/handfast/websocket/handshake"
	"github.com/handfast/handfast/websocket/internal/bounded"
	"github.com/handfast/handfast/websocket/protocol"
)

func prepare(t testing.TB, text string) *Prepared {
	t.Helper()
	p, err := Prepare(Message{Text, []byte(text)})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestSendKeepsTheOrder(t *testing.T) {
	for name, pair := range map[string]func(testing.TB) (*Conn, *Conn){
		"tcp": func(t testing.TB) (*Conn, *Conn) { return tcpConns(t, nil) },
		"tls": func(t testing.TB) (*Conn, *Conn) {
			near, far := tlsPair(t)
			client, server := overStream(near, protocol.RoleClient, nil), overStream(far, protocol.RoleServer, nil)
			t.Cleanup(func() { client.CloseNow(); server.CloseNow() })
			return client, server
		},
		"compressed": func(t testing.TB) (*Conn, *Conn) { return compressedPair(t, handshake.Deflate{}, nil) },
		"no takeover": func(t testing.TB) (*Conn, *Conn) {
			return compressedPair(t, handshake.Deflate{ServerNoTakeover: true, ClientNoTakeover: true}, nil)
		},
	} {
		for _, from := range []protocol.Role{protocol.RoleServer, protocol.RoleClient} {
			t.Run(name+"/"+from.String(), func(t *testing.T) {
				a, b := pair(t)
				if from == protocol.RoleServer {
					a, b = b, a
				}
				texts := make([]string, 300)
				for i := range texts {
					texts[i] = fmt.Sprint(i, strings.Repeat(" and so on", i*i%3000))
				}
				go func() {
					for i := 0; i < len(texts); i += 4 {
						a.SendPrepared(prepare(t, texts[i]), prepare(t, texts[i+1]))
						a.Send(Message{Text, []byte(texts[i+2])})
						a.Write(bounded.Context(t), Message{Text, []byte(texts[i+3])})
					}
				}()
				for i, want := range texts {
					if m, err := b.Read(bounded.Context(t)); err != nil || string(m.Data) != want {
						t.Fatalf("message %d: %.20q of %d bytes, %v", i, m.Data, len(m.Data), err)
					}
				}
			})
		}
	}
}

// TestSendAndWriteFromManyGoroutines checks for each sender and method that messages are not mixed.
func TestSendAndWriteFromManyGoroutines(t *testing.T) {
	client, server := compressedPair(t, handshake.Deflate{}, nil)
	shared := prepare(t, strings.Repeat("shared ", 100))
	own := strings.Repeat("own words ", 100)
	const each = 100
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range each {
				var err error
				switch i % 5 {
				case 0:
					err = server.SendPrepared(shared)
				case 4:
					err = server.Send(Message{Text, []byte(own)})
				case 1:
					err = server.Write(bounded.Context(t), Message{Text, []byte(own)})
				case 2:
					err = server.WriteUncompressed(bounded.Context(t), Message{Text, []byte(own)})
				case 3:
					var w io.WriteCloser
					if w, err = server.Writer(bounded.Context(t), Text); err == nil {
						io.WriteString(w, own)
						err = w.Close()
					}
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range 4 * each {
		m, err := client.Read(bounded.Context(t))
		if err != nil || string(m.Data) != own && string(m.Data) != string(shared.frames().Payload()) {
			t.Fatalf("message %d: %.30q of %d bytes, %v", i, m.Data, len(m.Data), err)
		}
	}
	wg.Wait()
}

// blockedConn returns a Conn whose peer does not read while one message is being sent.
func blockedConn(t *testing.T, q writeQueue) (*Conn, raw) {
	c, peer := rawPipe(t, protocol.RoleServer, &ConnOptions{QueueBytes: q.bytes, QueueFull: q.full, PingInterval: -1})
	if err := c.SendPrepared(prepare(t, "under way")); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
	return c, peer
}

func TestSendQueuePolicies(t *testing.T) {
	room := writeQueue{bytes: 3 * (len("\x81\x01a") + entryCost)}
	t.Run("drop newest", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			room.full = QueueDropNewest
			c, peer := blockedConn(t, room)
			if err := c.SendPrepared(prepare(t, "a"), prepare(t, "b"), prepare(t, "c"), prepare(t, "d")); err != ErrQueueFull {
				t.Errorf("SendPrepared returned %v", err)
			}
			for _, want := range []string{"under way", "a", "b", "c"} {
				peer.expect(frame.Text, want)
			}
		})
	})
	t.Run("drop oldest", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			room.full = QueueDropOldest
			c, peer := blockedConn(t, room)
			if err := c.SendPrepared(prepare(t, "a"), prepare(t, "b"), prepare(t, "c"), prepare(t, "d")); err != nil {
				t.Errorf("SendPrepared returned %v", err)
			}
			for _, want := range []string{"under way", "b", "c", "d"} {
				peer.expect(frame.Text, want)
			}
		})
	})
	t.Run("block", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			room.full = QueueBlock
			c, peer := blockedConn(t, room)
			sent := make(chan error, 1)
			go func() { sent <- c.SendPrepared(prepare(t, "a"), prepare(t, "b"), prepare(t, "c"), prepare(t, "d")) }()
			synctest.Wait()
			if len(sent) > 0 {
				t.Error("SendPrepared did not wait")
			}
			for _, want := range []string{"under way", "a", "b", "c", "d"} {
				peer.expect(frame.Text, want)
			}
			if err := <-sent; err != nil {
				t.Error(err)
			}
		})
	})
	t.Run("close", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			room.full = QueueClose
			c, peer := blockedConn(t, room)
			if err := c.SendPrepared(prepare(t, "a"), prepare(t, "b"), prepare(t, "c"), prepare(t, "d")); err != ErrQueueFull {
				t.Errorf("SendPrepared returned %v", err)
			}
			if err := c.SendPrepared(prepare(t, "e")); CloseCode(err) != CodeTryAgainLater {
				t.Errorf("the next SendPrepared returned %v", err)
			}
			synctest.Wait()
			peer.expect(frame.Text, "under way") // this message may have been sent in part; the queued messages are dropped
			peer.expectClose(CodeTryAgainLater)
			peer.send(peer.frame(frame.Close, true, closeBody(CodeTryAgainLater, "")))
			<-c.Context().Done()
			wantClose(t, context.Cause(c.Context()), CodeTryAgainLater, "reads too slowly", false)
		})
	})
	t.Run("blocked when the connection ends", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			room.full = QueueBlock
			c, _ := blockedConn(t, room)
			sent := make(chan error, 1)
			go func() { sent <- c.SendPrepared(prepare(t, "a"), prepare(t, "b"), prepare(t, "c"), prepare(t, "d")) }()
			synctest.Wait()
			c.CloseNow()
			wantClose(t, <-sent, CodeAbnormal, "", false)
		})
	})
}

// TestCloseFollowsAcceptedMessages checks that Close does not discard messages that SendPrepared has accepted.
func TestCloseFollowsAcceptedMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, peer := blockedConn(t, writeQueue{})
		c.SendPrepared(prepare(t, "one"), prepare(t, strings.Repeat("x", 40000)), prepare(t, "two"))
		closed := make(chan error, 1)
		go func() { closed <- c.Close(CodeNormal, "") }()
		synctest.Wait()
		for _, want := range []string{"under way", "one", strings.Repeat("x", 40000), "two"} {
			peer.expect(frame.Text, want)
		}
		peer.expectClose(CodeNormal)
		peer.send(peer.frame(frame.Close, true, closeBody(CodeNormal, "")))
		if err := <-closed; err != nil {
			t.Error(err)
		}
		if err := c.SendPrepared(prepare(t, "late")); CloseCode(err) != CodeNormal {
			t.Errorf("SendPrepared returned %v", err)
		}
	})
}

// TestWritesJoin checks that messages written during another write are sent together in one write.
func TestWritesJoin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, peer := rawPipe(t, protocol.RoleServer, &ConnOptions{PingInterval: -1})
		var wg sync.WaitGroup
		wg.Go(func() { c.Write(context.Background(), Message{Text, []byte("first")}) })
		synctest.Wait()
		for range 20 {
			wg.Go(func() {
				if err := c.Write(context.Background(), Message{Text, []byte("joins")}); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		ctx, cancel := context.WithCancel(context.Background())
		left := make(chan error, 1)
		go func() { left <- c.Write(ctx, Message{Text, []byte("leaves")}) }()
		synctest.Wait()
		cancel()
		if err := <-left; !errors.Is(err, context.Canceled) || c.ended() != nil {
			t.Errorf("a Write that waited returned %v, the connection %v", err, c.ended())
		}
		peer.expect(frame.Text, "first")
		buf := make([]byte, 1000)
		if n, err := peer.Read(buf); err != nil || n != 20*len("\x81\x05joins") {
			t.Errorf("%d bytes in one write, %v", n, err)
		}
		wg.Wait()
	})
}

// TestJoinedWritesFailWithTheOneThatFails checks that all joined calls return an error.
func TestJoinedWritesFailWithTheOneThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, peer := rawPipe(t, protocol.RoleServer, &ConnOptions{PingInterval: -1})
		failed := make(chan error, 5)
		for range 5 {
			go func() { failed <- c.Write(context.Background(), Message{Text, []byte("x")}) }()
		}
		synctest.Wait()
		peer.Conn.Close()
		for range 5 {
			if err := <-failed; err == nil {
				t.Error("Write returned nil")
			}
		}
	})
}

// TestQueuedMessagesAreSentTogether checks that messages queued during a write are sent together in the next one.
func TestQueuedMessagesAreSentTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, peer := blockedConn(t, writeQueue{})
		for range 16 {
			if err := c.Send(Message{Text, []byte("answer")}); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		peer.expect(frame.Text, "under way")
		buf := make([]byte, 1000)
		if n, err := peer.Read(buf); err != nil || n != 16*len("\x81\x06answer") {
			t.Errorf("%d bytes in one write, %v", n, err)
		}
		synctest.Wait()
		if c.outbox.pending.smallBuf != nil {
			t.Error("the buffer is kept")
		}
	})
}

func TestSendDuringAFragmentedMessage(t *testing.T) {
	client, server := tcpConns(t, nil)
	w, err := client.Writer(bounded.Context(t), Binary)
	if err != nil {
		t.Fatal(err)
	}
	half := make([]byte, streamChunk)
	w.Write(half)
	if err := client.SendPrepared(prepare(t, "behind")); err != nil {
		t.Fatal(err)
	}
	go func() {
		w.Write(half)
		w.Close()
	}()
	for _, want := range []int{2 * streamChunk, len("behind")} {
		if m, err := server.Read(bounded.Context(t)); err != nil || len(m.Data) != want {
			t.Errorf("%d bytes, %v", len(m.Data), err)
		}
	}
}

// TestPreparedIsCompressedOncePerWindow checks that the number of connections makes no difference.
func TestPreparedIsCompressedOncePerWindow(t *testing.T) {
	p := prepare(t, strings.Repeat("the same for all ", 100))
	frames := make(map[*byte]bool)
	for _, bits := range []uint8{9, 15} {
		for range 3 {
			_, server := compressedPair(t, handshake.Deflate{ServerBits: bits}, nil)
			server.mu.Lock()
			e := server.outbox.entryFor(p)
			server.mu.Unlock()
			if len(e.frame) >= len(p.frames().Plain())/2 {
				t.Errorf("a frame of %d bytes was compressed to %d", len(p.frames().Plain()), len(e.frame))
			}
			frames[&e.frame[0]] = true
		}
	}
	if len(frames) != 2 {
		t.Errorf("%d frames were made for 2 windows", len(frames))
	}
}

func TestPrepareChecks(t *testing.T) {
	if p, err := Prepare(Message{Text, []byte("data")}); err != nil || string(p.Data()) != "data" || p.Len() != 4 {
		t.Errorf("%q, %v", p.Data(), err)
	}
	if _, err := Prepare(Message{Text, []byte("\xff")}); err != errInvalidUTF8 {
		t.Errorf("%v", err)
	}
	if _, err := Prepare(Message{}); err == nil {
		t.Error("a message without a type was prepared")
	}
}

// TestManySmallMessagesAreBounded checks that the overhead of each message counts toward the limit, in addition to its bytes.
func TestManySmallMessagesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := blockedConn(t, writeQueue{bytes: 64 << 10, full: QueueDropNewest})
		p := prepare(t, "")
		n := 0
		for ; n < 64<<10; n++ {
			if n%2 == 0 && c.SendPrepared(p) != nil || n%2 == 1 && c.Send(Message{Text, nil}) != nil {
				break
			}
		}
		if n > 1000 || n < 900 {
			t.Errorf("%d empty messages are queued in 64 KiB", n)
		}
	})
}

// TestTheRestOfALargeMessageIsShared checks that a slow peer does not cause a copy of a message that is sent to many peers.
func TestTheRestOfALargeMessageIsShared(t *testing.T) {
	large := strings.Repeat("large ", 2<<20)
	for _, behind := range []bool{false, true} {
		c, peer := rawTCP(t, protocol.RoleServer, nil)
		p := prepare(t, large)
		var before, after runtime.MemStats
		if behind { // queues the large message behind another message
			w, err := c.Writer(bounded.Context(t), Text)
			if err != nil {
				t.Fatal(err)
			}
			io.WriteString(w, strings.Repeat("b", streamChunk))
			runtime.ReadMemStats(&before)
			if err := errors.Join(c.SendPrepared(p), w.Close()); err != nil {
				t.Fatal(err)
			}
		} else {
			runtime.ReadMemStats(&before)
			if err := c.SendPrepared(p); err != nil {
				t.Fatal(err)
			}
		}
		bounded.Until(t, func() bool { return !c.isWriteScheduled() })
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > uint64(len(large)/8) {
			t.Errorf("%d bytes were allocated to send a shared message of %d bytes", n, len(large))
		}
		if behind {
			peer.next()
			peer.next()
		}
		peer.expect(frame.Text, large)
	}
}

// isWriteScheduled reports whether the goroutine that writes the rest has been started, but is not writing yet.
func (c *Conn) isWriteScheduled() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.outbox.rest) > 0 || len(c.outbox.pending.queue) > 0
}
