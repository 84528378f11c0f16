package websocket

import (
	"io"
	"net"
	"slices"
	"sync/atomic"

	"github.com/handfast/handfast/websocket/internal/opening"
	"github.com/handfast/handfast/websocket/loop"
	"github.com/handfast/handfast/websocket/protocol"
)

// eventLink is what both directions of a connection share: its descriptor, its protocol, what was agreed on, how it ends and
// whether the peer is alive.
//
// The lock of fd guards what is not said to be another's. Writes that do not wait are made under it.
type eventLink struct {
	fd   loop.FD
	m    protocol.Machine // its reading half belongs to the holder, its writing half to the lock
	kind *eventKind
	more *eventMore // set before the connection opens, or by the holder under the lock; nil when there is nothing of it
	end  *ending    // nil until the end begins

	stop        atomic.Uint32 // reasons not to deliver messages; set under the lock
	subprotocol uint16        // one more than its index in the kind's list; 0 means none. Set before it opens
	peer        peerWatch     // looked at by the holder
}

// eventMore is what some connections have and most have not.
type eventMore struct {
	sec         *loop.TLS // nil without
	zip         *zipper   // permessage-deflate; nil without
	rest        *buffer   // the holder's: bytes that arrived and are not parsed, since the peer does not read; nil otherwise
	remote      net.Addr  // the client's, where a proxy has named it; nil means the socket's
	subprotocol string    // one that is not in the kind's list
	unsent      int       // what the kernel had not sent when keepalive last looked
}

// The reasons of eventLink.stop.
const (
	stopPaused uint32 = 1 << iota // too much waits to be sent
	stopEnding                    // the phase is beyond open
	stopNow                       // to be ended immediately
)

// ending is what a connection needs when it ends.
type ending struct {
	begun *CloseError // how it is about to end; nil while nothing was said
	now   *CloseError // how it ends as soon as its holder sees it
	over  *CloseError // how it has ended
	cause error       // why this end began it
	werr  error       // why nothing can be written any more
	half  bool        // our direction is shut

	remote net.Addr // of the peer, once it has ended
}

// sec returns the TLS below, nil without.
func (c *eventLink) sec() *loop.TLS {
	if c.more == nil {
		return nil
	}
	return c.more.sec
}

// zip returns the compression, nil without.
func (c *eventLink) zip() *zipper {
	if c.more == nil {
		return nil
	}
	return c.more.zip
}

// rest returns what has arrived and is not parsed, nil for nothing.
func (c *eventLink) rest() *buffer {
	if c.more == nil {
		return nil
	}
	return c.more.rest
}

// extra returns c.more, which it makes if there is none.
func (c *eventLink) extra() *eventMore {
	if c.more == nil {
		c.more = new(eventMore)
	}
	return c.more
}

// agree notes the subprotocol and the compression that the opening handshake has agreed on.
func (c *eventLink) agree(t *opening.Terms) {
	if c.subprotocol = uint16(slices.Index(c.kind.subprotocols, t.Subprotocol) + 1); c.subprotocol == 0 && t.Subprotocol != "" {
		c.extra().subprotocol = t.Subprotocol
	}
	if t.Compressed {
		c.extra().zip = newZipper(t.Deflate, c.kind.compression)
		c.m.Compressed = true
	}
}

// named notes the client's address where a proxy has named it.
func (c *eventLink) named(remote net.Addr) {
	if remote != nil {
		c.extra().remote = remote
	}
}

// Subprotocol implements [Sender].
func (c *eventLink) Subprotocol() string {
	c.fd.Lock()
	defer c.fd.Unlock()
	switch {
	case c.subprotocol > 0:
		return c.kind.subprotocols[c.subprotocol-1]
	case c.more != nil:
		return c.more.subprotocol
	}
	return ""
}

// RemoteAddr implements [Sender]. Nothing is kept for it: the kernel knows the address of a connection that has not ended.
func (c *eventLink) RemoteAddr() net.Addr {
	c.fd.Lock()
	defer c.fd.Unlock()
	return c.remoteLocked()
}

func (c *eventLink) remoteLocked() net.Addr {
	switch {
	case c.more != nil && c.more.remote != nil:
		return c.more.remote
	case c.end != nil && c.end.remote != nil:
		return c.end.remote
	}
	if a := c.fd.Peer(); a != nil {
		return a
	}
	return noAddr{}
}

// read reads plain bytes.
func (c *eventLink) read(p []byte) (int, error) {
	if sec := c.sec(); sec != nil {
		n, err := sec.Read(p)
		if err == loop.ErrTruncated { // which a Conn does not tell from an end
			err = io.EOF
		}
		return n, err
	}
	return c.fd.Read(p)
}

// unpause has the connection read from again, first what has arrived and was not parsed. The caller holds the lock.
func (c *eventLink) unpause() {
	if c.stop.And(^stopPaused)&stopPaused != 0 {
		c.fd.Wake()
	}
}
