package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"time"

	"github.com/handfast/handfast/balance"
	"github.com/handfast/handfast/websocket"
)

// Abandon ends a connection whose client has gone before Tunnel or Serve was called.
func (c *Conn) Abandon() {
	c.link.close()
	c.balancer.release(c.server.Load())
}

// Tunnel carries the bytes of a client that has received the 101 response, until one side ends. early contains the bytes that the
// client has sent after its request. done is called once, when both sides are closed, with a [*websocket.CloseError] if the reason
// is known. If Tunnel fails, both connections are closed and done is not called.
func (c *Conn) Tunnel(client net.Conn, early []byte, done func(error)) error {
	b, link, options := c.balancer, c.link, c.set.Tunnel
	c.link, c.set = nil, nil
	b.members.add(c)
	options.Lost = c.lostFrame
	t, err := b.carrier.carry(client, link, early, options, func(t *Tunnel, err error) {
		c.ended(t, err)
		done(err)
	})
	if err != nil {
		link.close()
		c.rejectClient(client)
		b.members.remove(c, err)
		b.release(c.server.Load())
		return err
	}
	c.begin(t)
	return nil
}

// closeReplyTimeout is how long a client may take to reply to the close frame if its tunnel cannot begin.
const closeReplyTimeout = 5 * time.Second

// rejectClient closes the connection of a client that has received its 101, but whose tunnel cannot begin: the server has gone already,
// or this process has no descriptor for it. The client gets the close frame for a lost server. What the client sends meanwhile is
// read, because the kernel discards sent data when a connection is closed with unread bytes.
func (c *Conn) rejectClient(client net.Conn) {
	defer client.Close()
	toClient, _, err := closeFrames(c.lostFrame())
	if err != nil || !c.balancer.addGoroutine() {
		return
	}
	defer c.balancer.wg.Done()
	client.SetDeadline(time.Now().Add(closeReplyTimeout)) //nolint:errcheck // if the connection is broken, its next read or write fails anyway
	if _, err := client.Write(toClient); err == nil {
		_, _ = io.Copy(io.Discard, client)
	}
}

// Serve carries the messages of a client that has received the 101 response, without the extensions of the server, until both sides
// are closed. It returns the reason why the connection to the client ended. received and sent are called with the size of each
// message, and may be nil; an error of received ends the connection, with its code and reason if it is a [*websocket.CloseError],
// and with 1008 otherwise. No other reader may use the client's connection. If its options include HalfClose, the client gets the
// server's messages until the server's close frame; otherwise the reply to the client's close frame is sent immediately.
func (c *Conn) Serve(client *websocket.Conn, received func(bytes int64) error, sent func(bytes int64)) (how *websocket.CloseError) {
	b, link, o := c.balancer, c.link, c.set.Tunnel.jittered()
	c.link, c.set = nil, nil
	if !b.addGoroutine() {
		link.close()
		b.release(c.server.Load())
		_ = client.CloseNow()
		return &websocket.CloseError{Code: websocket.CodeAbnormal, Err: ErrClosed}
	}
	defer b.wg.Done()
	r := &relay{
		conn: c, client: client, limits: limits{o.Idle, o.Lifetime}, rules: c.messages, hold: c.hold, received: received, sent: sent,
		gate: make(chan struct{}, 1), began: time.Now(),
	}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	defer r.cancel()
	var err error
	if r.server, err = newServerConn(r.ctx, c.server.Load(), link, c.messages); err != nil { // the server has gone already
		b.release(c.server.Load())
		_ = client.Close(c.lostFrame())
		how, _ = errors.AsType[*websocket.CloseError](context.Cause(client.Context()))
		return how
	}
	b.members.add(c)
	c.begin(r)
	defer func() { // runs even after a panic
		if how == nil {
			how = &websocket.CloseError{Code: websocket.CodeAbnormal, Err: net.ErrClosed}
		}
		c.ended(r, how)
	}()
	return r.run()
}

// addGoroutine counts a goroutine that Close waits for. It returns false if b is closed.
func (b *Balancer) addGoroutine() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.closed {
		b.wg.Add(1)
	}
	return !b.closed
}

// begin records that by carries the connection, which can be moved and closed from then on.
func (c *Conn) begin(by carriage) {
	b := c.balancer
	c.carried.Store(&by)
	if c.moved.Swap(false) { // Move was called before
		c.Move()
	}
	b.mu.Lock()
	closed := b.closed
	b.mu.Unlock()
	if closed { // Close may have missed the connection
		_ = by.CloseNow()
	}
}

// ended is called once both sides are closed; for a tunnel, perhaps before [Carrier.Carry] has returned it.
func (c *Conn) ended(by carriage, err error) {
	c.carried.Store(&by)
	e, _ := errors.AsType[*websocket.CloseError](err)
	if c.messages == nil && e != nil && e.Code == websocket.CodeAbnormal && !e.ByPeer && time.Since(c.since) < earlyEnd && !errors.Is(e, net.ErrClosed) {
		c.balancer.outcome(c.server.Load(), balance.ClosedEarly)
	}
	c.balancer.members.remove(c, err)
	c.balancer.release(c.server.Load())
}

// currentCarriage returns the carriage of the connection, or nil before there is one.
func (c *Conn) currentCarriage() carriage {
	if p := c.carried.Load(); p != nil {
		return *p
	}
	return nil
}

// Shut sends a close frame to both sides, and cuts the connection when they do not reply in time. Before Tunnel or Serve it does
// nothing. An error means that the code must not be sent.
func (c *Conn) Shut(code websocket.Code, reason string) error {
	if by := c.currentCarriage(); by != nil {
		return by.Shut(code, reason)
	}
	return nil
}

// CloseNow cuts the connection. Before Tunnel or Serve it does nothing. It returns nil.
func (c *Conn) CloseNow() error {
	if by := c.currentCarriage(); by != nil {
		return by.CloseNow()
	}
	return nil
}

// Bytes returns the number of bytes that have arrived from both sides since the connection was moved to its present server.
func (c *Conn) Bytes() (fromClient, fromServer int64) {
	n := c.traffic()
	return n.FromClients, n.FromServer
}

// traffic returns the traffic since the connection was moved to its present server.
func (c *Conn) traffic() Traffic {
	if by := c.currentCarriage(); by != nil {
		return by.traffic()
	}
	return Traffic{}
}
