//go:build linux

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
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A soak message contains its sender, its number, and content that depends on both, so that lost, duplicated, truncated, mixed-up
// or modified messages are detected.

func evSoakText(sender, i, size int) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(sender)<<24|uint32(i))
	b = binary.BigEndian.AppendUint32(b, uint32(size))
	for x := uint32(sender*7919 + i); len(b) < size; x = x*1664525 + 1013904223 {
		b = append(b, byte(x>>24)&0x3f) // so that compression reduces its size
	}
	return b
}

// evSoakSize returns a random size close to a boundary at which the code behaves differently.
func evSoakSize(r *rand.Rand) int {
	around := []int{8, 20, 125, 700, alwaysCopied, maxCopied, corkSize / 2, 1 << 16, 150 << 10}
	n := around[min(r.IntN(len(around)), r.IntN(len(around)))]
	return max(8, n+r.IntN(41)-20)
}

// evLedger records the received messages of each sender.
type evLedger [8]int

func (l *evLedger) record(data []byte) error {
	if len(data) < 8 {
		return fmt.Errorf("a message of %d bytes", len(data))
	}
	sender, i, size := int(data[0]), int(binary.BigEndian.Uint32(data)&0xffffff), int(binary.BigEndian.Uint32(data[4:]))
	if sender >= len(l) || size != len(data) || i != l[sender] {
		return fmt.Errorf("message %d of sender %d, of %d bytes, announces %d bytes; want %v", i, sender, len(data), size, l)
	}
	l[sender]++
	if !bytes.Equal(data, evSoakText(sender, i, size)) {
		return fmt.Errorf("message %d of sender %d, of %d bytes, was modified", i, sender, size)
	}
	return nil
}

const (
	evSoakEach = 30
	evPushers  = 3 // the server's senders have the numbers 0 to 2, the client's 3 and 4
	evCallers  = 2
)

// evSoakState is the server's side of a connection.
type evSoakState struct {
	evLedger
	r *rand.Rand
}

// evSend sends data in the given way, and tries again while the queue is full.
func evSend(c *eventConn, data []byte, way int) error {
	m := Message{Type: Binary, Data: data}
	p, err := Prepare(m)
	if err != nil {
		return err
	}
	for {
		switch way {
		case 0:
			err = c.SendPrepared(p)
		default:
			err = c.Send(m)
		}
		if !errors.Is(err, ErrQueueFull) {
			return err
		}
		c.Block() // the loop must not wait for a handler that waits here
		<-time.After(100 * time.Microsecond)
	}
}

// evSoakServer checks and echoes messages, and sends its own messages.
func evSoakServer(t *testing.T, seed uint64, compress *Compression, pushing *sync.WaitGroup) *evServer {
	var guests atomic.Int64
	s := &evServer{Loops: 2, Handler: evHandler{
		Open: func(c *eventConn) {
			number := uint64(guests.Add(1))
			c.SetValue(&evSoakState{r: rand.New(rand.NewPCG(seed, number))})
			for sender := range evPushers {
				r := rand.New(rand.NewPCG(seed, number<<8|uint64(sender)))
				pushing.Go(func() {
					for i := range evSoakEach {
						if err := evSend(c, evSoakText(sender, i, evSoakSize(r)), r.IntN(3)); err != nil {
							t.Errorf("pusher %d, message %d: %v", sender, i, err)
							return
						}
					}
				})
			}
		},
		Message: func(c *eventConn, m Message) {
			g := c.Value().(*evSoakState)
			if err := g.record(m.Data); err != nil {
				t.Errorf("the server got %v", err)
				c.CloseNow()
				return
			}
			if g.r.IntN(10) == 0 {
				c.Block()
			}
			if err := evSend(c, m.Data, g.r.IntN(3)); err != nil {
				t.Errorf("echo: %v", err)
			}
			for i := range m.Data { // the handler may modify the data
				m.Data[i] = 0xee
			}
			_ = append(m.Data, "behind it"...)
		},
	}}
	s.Options.Conn.Compression = compress
	s.Options.Conn.QueueBytes, s.Options.Conn.QueueFull = 256<<10, QueueDropNewest
	return s
}

// evCutting splits the written data.
type evCutting struct {
	net.Conn
	r *rand.Rand
}

func (c *evCutting) Write(p []byte) (sent int, err error) {
	for sent < len(p) && err == nil {
		k := min(len(p)-sent, 1+c.r.IntN(1<<c.r.IntN(17)))
		var n int
		n, err = c.Conn.Write(p[sent : sent+k])
		sent += n
	}
	return sent, err
}

// call sends a client's messages, some of them in fragments.
func call(ctx context.Context, c *Conn, sender int, r *rand.Rand) error {
	for i := range evSoakEach {
		data := evSoakText(sender, i, evSoakSize(r))
		if r.IntN(3) > 0 {
			if err := c.Write(ctx, Message{Type: Binary, Data: data}); err != nil {
				return err
			}
			continue
		}
		w, err := c.Writer(ctx, Binary)
		if err == nil {
			_, err = io.Copy(w, bytes.NewReader(data))
			err = errors.Join(err, w.Close())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// TestEventSoak runs several clients whose frames are split at arbitrary positions, with concurrent echoes and server messages sent
// in every way, and handlers that block.
func TestEventSoak(t *testing.T) {
	for _, secure := range []bool{false, true} {
		for name, zip := range map[string]*Compression{"plain": nil, "compressed": {}, "no takeover": {ServerNoTakeover: true}} {
			t.Run(fmt.Sprintf("TLS %v/%s", secure, name), func(t *testing.T) {
				seed := rand.Uint64()
				t.Logf("seed %d", seed)
				var pushing, running sync.WaitGroup
				s := evSoakServer(t, seed, zip, &pushing)
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				o := &DialOptions{Conn: ConnOptions{Compression: zip}}
				addr, scheme := "", "ws://"
				if secure {
					addr, o.TLS = evServeTLS(t, s)
					scheme = "wss://"
				} else {
					addr = evServe(t, s)
				}
				for client := range 4 {
					o := *o
					o.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
						nc, err := new(net.Dialer).DialContext(ctx, network, addr)
						return &evCutting{nc, rand.New(rand.NewPCG(seed, uint64(client)))}, err
					}
					c, err := Dial(ctx, scheme+addr, &o)
					if err != nil {
						t.Fatal(err)
					}
					defer c.CloseNow()
					for i := range evCallers {
						running.Go(func() {
							r := rand.New(rand.NewPCG(seed, uint64(client)<<8|uint64(i)))
							if err := call(ctx, c, evPushers+i, r); err != nil {
								t.Errorf("client %d: %v", client, err)
							}
						})
					}
					running.Go(func() {
						var l evLedger
						for range (evPushers + evCallers) * evSoakEach {
							m, err := c.Read(ctx)
							if err == nil {
								err = l.record(m.Data)
							}
							if err != nil {
								t.Errorf("client %d got %v", client, err)
								c.CloseNow()
								return
							}
						}
					})
				}
				running.Wait()
				pushing.Wait()
			})
		}
	}
}
