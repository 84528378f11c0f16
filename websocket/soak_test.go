package websocket

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/handfast/handfast/websocket/handshake"
	"github.com/handfast/handfast/websocket/internal/bounded"
	"github.com/handfast/handfast/websocket/internal/transport"
	"github.com/handfast/handfast/websocket/protocol"
)

// The soak test connects two Conns with a stream that splits data arbitrarily. Several concurrent senders at each end use every way
// of sending, and the other end uses every way of reading, which is interrupted occasionally. A message contains its sender, its
// number, and content that depends on both, so that lost, duplicated, truncated, mixed-up or modified messages are detected.

// soakText returns message number i of a sender. Its content depends only on sender, i and size.
func soakText(sender, i, size int) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(sender)<<24|uint32(i))
	b = binary.BigEndian.AppendUint32(b, uint32(size))
	for x := uint32(sender*7919 + i); len(b) < size; x = x*1664525 + 1013904223 {
		b = append(b, byte(x>>24)&0x3f) // so that compression reduces its size
	}
	return b
}

// soakSize returns a random size close to a boundary at which the code behaves differently.
func soakSize(r *rand.Rand) int {
	around := []int{8, 20, 125, 700, maxJoined, maxCopied, transport.BufferSize, 1 << 16, 150 << 10}
	n := around[min(r.IntN(len(around)), r.IntN(len(around)))]
	return max(8, n+r.IntN(41)-20)
}

// soakLedger records received messages.
type soakLedger struct {
	testing.TB
	next map[int]int
}

// record checks and records a received message.
func (l *soakLedger) record(how string, data []byte) {
	if len(data) < 8 {
		l.Errorf("%s: a message of %d bytes", how, len(data))
		return
	}
	head, size := int(binary.BigEndian.Uint32(data)), int(binary.BigEndian.Uint32(data[4:]))
	sender, i := head>>24, head&0xffffff
	if size != len(data) || i != l.next[sender] {
		l.Errorf("%s: message %d of sender %d, of %d bytes; want number %d with %d", how, i, sender, len(data), l.next[sender], size)
	} else if want := soakText(sender, i, size); !bytes.Equal(data, want) {
		l.Errorf("%s: message %d of sender %d, of %d bytes, was modified", how, i, sender, size)
	}
	l.next[sender] = i + 1
}

// leave records a message whose beginning was read and whose rest was skipped.
func (l *soakLedger) leave(head []byte) {
	l.next[int(head[0])] = int(binary.BigEndian.Uint32(head)&0xffffff) + 1
}

// partialConn splits the data that is written to it and read from it.
type partialConn struct {
	net.Conn
	r *rand.Rand // used by the writer
	s *rand.Rand // used by the reader
}

func (c *partialConn) Write(p []byte) (sent int, err error) {
	for sent < len(p) && err == nil {
		k := min(len(p)-sent, 1+c.r.IntN(1<<c.r.IntN(17)))
		var n int
		n, err = c.Conn.Write(p[sent : sent+k])
		sent += n
	}
	return sent, err
}

func (c *partialConn) Read(p []byte) (int, error) {
	return c.Conn.Read(p[:min(len(p), 1+c.s.IntN(1<<c.s.IntN(17)))])
}

// soakSend sends messages, each in a different way.
func soakSend(ctx context.Context, c *Conn, sender, count int, r *rand.Rand) error {
	for i := range count {
		m := Message{Binary, soakText(sender, i, soakSize(r))}
		was := bytes.Clone(m.Data)
		var err error
		switch r.IntN(6) {
		case 0:
			err = soakStream(ctx, c, m, r)
		case 1:
			var p *Prepared
			if p, err = Prepare(m); err == nil {
				err = c.SendPrepared(p)
			}
		case 2:
			err = c.Send(m)
		case 3:
			err = c.WriteUncompressed(ctx, m)
		default:
			err = c.Write(ctx, m)
		}
		if err != nil {
			return fmt.Errorf("sender %d, message %d: %w", sender, i, err)
		}
		if !bytes.Equal(m.Data, was) {
			return fmt.Errorf("sender %d, message %d: the caller's bytes were changed", sender, i)
		}
		clear(m.Data) // the caller may modify the message again
	}
	return nil
}

func soakStream(ctx context.Context, c *Conn, m Message, r *rand.Rand) error {
	w, err := c.Writer(ctx, m.Type)
	for p := m.Data; err == nil && len(p) > 0; {
		k := 1 + r.IntN(len(p))
		_, err = w.Write(p[:k])
		p = p[k:]
	}
	if err == nil {
		err = w.Close()
	}
	return err
}

// soakRead reads count messages, each in a different way, and is interrupted now and then.
func soakRead(c *Conn, l *soakLedger, count int, r *rand.Rand) error {
	var dst []byte
	for got := 0; got < count; {
		ctx, cancel := context.WithCancel(l.Context())
		if r.IntN(4) == 0 {
			go cancel() // cancels at a random moment
		}
		err := soakReadOne(ctx, c, l, &dst, r)
		cancel()
		switch {
		case err == nil:
			got++
		case !errors.Is(err, context.Canceled) || l.Context().Err() != nil:
			return err
		}
	}
	return nil
}

func soakReadOne(ctx context.Context, c *Conn, l *soakLedger, dst *[]byte, r *rand.Rand) error {
	switch r.IntN(5) {
	case 0:
		m, err := c.Read(ctx)
		if err == nil {
			l.record("Read", m.Data)
		}
		return err
	case 1:
		m, err := readAppend(ctx, c, (*dst)[:0])
		*dst = m.Data
		if err == nil {
			l.record("readAppend", m.Data)
		}
		return err
	case 2:
		return soakReader(l.Context(), c, l, r)
	}
	return c.View(ctx, func(m Message) error {
		if r.IntN(8) == 0 {
			soon, cancel := context.WithTimeout(ctx, time.Millisecond)
			c.Ping(soon) // reads up to the next message, which may arrive before the pong
			cancel()
		}
		l.record("View", m.Data)
		for range r.IntN(4) {
			runtime.Gosched()
		}
		for i := range m.Data {
			m.Data[i] = 0xee
		}
		_ = append(m.Data, "behind it"...)
		return nil
	})
}

// soakReader reads a message in parts, and sometimes skips the rest of it.
func soakReader(ctx context.Context, c *Conn, l *soakLedger, r *rand.Rand) error {
	_, body, err := c.Reader(ctx)
	if err != nil {
		return err
	}
	var head [8]byte
	if _, err := io.ReadFull(body, head[:]); err != nil {
		return err
	}
	if r.IntN(4) == 0 {
		l.leave(head[:])
		return nil
	}
	data := bytes.Clone(head[:])
	for err == nil {
		p := make([]byte, 1+r.IntN(1<<r.IntN(17)))
		var n int
		n, err = body.Read(p)
		data = append(data, p[:n]...)
	}
	if err == io.EOF {
		l.record("Reader", data)
		return nil
	}
	return err
}

// soakPair connects a client and a server over the given kind of stream.
func soakPair(t *testing.T, kind string, zip *handshake.Deflate, seed uint64) (client, server *Conn) {
	var near, far net.Conn
	switch kind {
	case "TLS":
		near, far = tlsPair(t)
	case "pipe":
		near, far = net.Pipe()
	default:
		near, far = tcpPair(t)
	}
	if kind == "cut" {
		near = &partialConn{near, rand.New(rand.NewPCG(seed, 1)), rand.New(rand.NewPCG(seed, 2))}
	}
	opts := &ConnOptions{PingInterval: -1, CloseTimeout: time.Minute, QueueBytes: 256 << 10, QueueFull: QueueBlock}
	client, server = overStream(near, protocol.RoleClient, opts), overStream(far, protocol.RoleServer, opts)
	t.Cleanup(func() { client.CloseNow(); server.CloseNow() })
	if zip != nil {
		compressLater(client, *zip, &Compression{})
		compressLater(server, *zip, &Compression{})
	}
	return client, server
}

func TestSoak(t *testing.T) {
	const senders, each = 3, 60
	zips := map[string]*handshake.Deflate{"plain": nil, "compressed": {}, "compressed, no takeover": {ServerNoTakeover: true, ClientNoTakeover: true}}
	for _, kind := range []string{"TCP", "cut", "TLS", "pipe"} {
		for name, zip := range zips {
			t.Run(kind+"/"+name, func(t *testing.T) {
				t.Parallel()
				seed := rand.Uint64()
				t.Logf("seed %d", seed)
				client, server := soakPair(t, kind, zip, seed)
				var wg, looks, rest sync.WaitGroup
				over := make(chan struct{})
				for end, c := range []*Conn{client, server} {
					for sender := range senders {
						wg.Go(func() {
							if err := soakSend(t.Context(), c, sender, each, rand.New(rand.NewPCG(seed, uint64(10*end+sender)))); err != nil {
								t.Error(c.m.Client, err)
								c.CloseNow()
							}
						})
					}
					looks.Go(func() { // does what keepalive does, but more often, and closes no slow peer
						tick := time.NewTicker(50 * time.Microsecond)
						defer tick.Stop()
						for c.ended() == nil {
							c.inbox.readBackground()
							select {
							case <-over:
								return
							case <-tick.C:
							}
						}
					})
					wg.Go(func() {
						l := &soakLedger{TB: t, next: map[int]int{}}
						if err := soakRead(c, l, senders*each, rand.New(rand.NewPCG(seed, uint64(100+end)))); err != nil {
							t.Error(c.m.Client, "reads:", err)
							c.CloseNow()
						}
						rest.Go(func() { c.Read(bounded.Context(t)) }) // the sender of the last message waits until all of the message has been read
					})
				}
				wg.Wait()
				close(over)
				looks.Wait()
				closed := make(chan error, 1)
				go func() { closed <- server.Close(CodeNormal, "") }()
				if err := errors.Join(client.Close(CodeNormal, ""), bounded.Receive(t, closed)); err != nil {
					t.Errorf("Close: %v", err)
				}
				rest.Wait()
			})
		}
	}
}
