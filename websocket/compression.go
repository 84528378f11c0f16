package websocket

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"

	"github.com/handfast/handfast/websocket/frame"
	"github.com/handfast/handfast/websocket/handshake"
	"github.com/handfast/handfast/websocket/internal/deflate"
	"github.com/handfast/handfast/websocket/internal/transport"
	"github.com/handfast/handfast/websocket/protocol"
)

// Compression enables permessage-deflate (RFC 7692). The zero value requests the best compression that the peer allows. An idle
// connection holds neither a compressor nor a decompressor; with context takeover it keeps their state: up to 4 KiB of the sent
// data and up to one window of the received data. On a server, that window is also 4 KiB for clients that let the server choose it,
// as browsers do; otherwise it is up to 32 KiB.
//
// Compressing a secret together with data that an attacker chooses reveals their similarity through the length of the frame (the
// BREACH attack). Send messages that contain secrets with [Conn.WriteUncompressed]: Writer, Send and SendPrepared compress.
type Compression struct {
	// ServerNoTakeover makes the server compress each message independently, which takes less memory on both sides and makes
	// messages larger. ClientNoTakeover does the same for the client.
	ServerNoTakeover, ClientNoTakeover bool

	// ServerWindowBits limits the window of the server's compressor, as a power of two, 9 to 15; 0 means 15. ClientWindowBits does
	// the same for the client's compressor, except that 0 means 12 for a server with context takeover. A smaller window saves
	// memory on the receiving side. Clients that do not offer a smaller window keep a window of 15 bits.
	ServerWindowBits, ClientWindowBits int

	// Threshold is the size in bytes below which a message is not compressed. 0 means 128, since shorter messages rarely shrink. A
	// negative value means that messages of any size are compressed. A message that does not shrink is sent uncompressed. Messages
	// written with [Conn.Writer] are always compressed.
	Threshold int
}

const defaultThreshold = 128

// policy returns the compression policy for the handshake.
func (c *Compression) policy() (handshake.DeflatePolicy, error) {
	return handshake.NewDeflatePolicy(c.ServerNoTakeover, c.ClientNoTakeover, c.ServerWindowBits, c.ClientWindowBits)
}

// offerCompression returns the extension offer of a client with the options c.
func offerCompression(c *Compression) ([]handshake.Extension, *HandshakeError) {
	if c == nil {
		return nil, nil
	}
	policy, err := c.policy()
	if err != nil {
		return nil, &HandshakeError{Stage: handshake.StageRequest, Err: err, Hint: handshake.HintClientCompression}
	}
	return []handshake.Extension{handshake.OfferDeflate(policy).Extension()}, nil
}

// verifyCompression returns the parameters in the server's response; ok is false if the server declined.
func verifyCompression(answer []handshake.Extension, c *Compression) (agreed handshake.Deflate, ok bool, fail *HandshakeError) {
	if c == nil || len(answer) == 0 {
		return agreed, false, nil
	}
	policy, _ := c.policy() // the offer was valid when it was made
	agreed, err := handshake.VerifyDeflate(answer[0], handshake.OfferDeflate(policy), policy.MinBits)
	if err != nil {
		return agreed, false, &HandshakeError{
			Stage: handshake.StageExtension, Section: "RFC 7692 §7", Status: http.StatusSwitchingProtocols, Err: fmt.Errorf("permessage-deflate: %w", err),
			Hint: handshake.HintClientUncompressed,
		}
	}
	return agreed, true, nil
}

// deflateIf returns d if compression was negotiated, nil otherwise.
func deflateIf(compressed bool, d *handshake.Deflate) *handshake.Deflate {
	if compressed {
		return d
	}
	return nil
}

// parseNegotiated returns the compression parameters in extensions, which is the Sec-WebSocket-Extensions header of a server's
// response, or nil if it is empty. The client's offer is not known.
func parseNegotiated(extensions string, opts *ConnOptions) (*handshake.Deflate, error) {
	if extensions == "" {
		return nil, nil
	}
	answer, err := handshake.ParseExtensions([]string{extensions})
	switch {
	case err != nil:
		return nil, fmt.Errorf("websocket: Handshake.Extensions: %w", err)
	case len(answer) != 1 || answer[0].Name != handshake.DeflateName:
		return nil, fmt.Errorf("websocket: Handshake.Extensions is %q: only %s once is supported", extensions, handshake.DeflateName)
	case opts == nil || opts.Compression == nil:
		return nil, errors.New("websocket: Handshake.Extensions agrees on compression, and ConnOptions.Compression is nil; set it")
	}
	agreed, err := handshake.VerifyDeflate(answer[0], handshake.Deflate{ClientBits: handshake.AnyWindowBits}, handshake.MinWindowBits)
	if err != nil {
		return nil, fmt.Errorf("websocket: Handshake.Extensions: %s: %w", handshake.DeflateName, err)
	}
	return &agreed, nil
}

// compress enables the negotiated compression. It must be called before the Conn is used.
func (c *Conn) compress(agreed handshake.Deflate, opts *Compression) {
	server := deflate.Window{Bits: handshake.WindowBits(agreed.ServerBits), Takeover: !agreed.ServerNoTakeover}
	client := deflate.Window{Bits: handshake.WindowBits(agreed.ClientBits), Takeover: !agreed.ClientNoTakeover}
	z := &compression{c: c, threshold: opts.Threshold}
	if z.threshold == 0 {
		z.threshold = defaultThreshold
	}
	z.out.Window, z.in.Window = server, client
	if c.m.Client {
		z.out.Window, z.in.Window = client, server
	}
	z.bits = z.out.Window.Bits
	c.compression = z
	c.m.Compressed = true
}

// compression holds the additional state of a connection with permessage-deflate. The holder of the read turn owns in, and the
// holder of the message turn owns out.
type compression struct {
	c         *Conn
	threshold int
	out       deflate.Compressor
	in        deflate.Decompressor
	message   *deflate.Reader // the reader of a fragmented message that was not read to its end; nil otherwise
	ctx       context.Context // the context that interrupts reads of message
	ended     bool            // the last frame of message has been received
	bits      uint8           // the window bits of out
	stale     bool            // SendPrepared has sent data that out has not compressed; guarded by mu
}

// Read returns the payload of the current message to its inflater.
func (z *compression) Read(p []byte) (int, error) {
	if z.ended {
		return 0, io.EOF
	}
	ev, err := z.c.inbox.next(z.ctx)
	if err != nil {
		return 0, err
	}
	n := copy(p, ev.Payload)
	if n < len(ev.Payload) {
		ev.Payload = ev.Payload[n:]
		z.c.inbox.cur, z.c.inbox.pending = ev, true
		return n, nil
	}
	z.ended = ev.Last
	if n == 0 && z.ended {
		return 0, io.EOF
	}
	return n, nil
}

// begin starts a message that is inflated as it arrives. ev is its first piece.
func (z *compression) begin(ev protocol.Event) {
	z.c.inbox.cur, z.c.inbox.pending = ev, true
	z.ended = false
	z.message = z.in.Reader(z, z.limit())
}

// inflate reads more of the current message into p; io.EOF marks the end of the message.
func (z *compression) inflate(ctx context.Context, p []byte) (int, error) {
	z.ctx = ctx
	n, err := z.message.Read(p)
	if err != nil && z.c.ended() == nil && !isInterruption(ctx, err) {
		z.message = nil
	}
	if err == nil || err == io.EOF {
		if verr := z.c.m.Inflated(p[:n], err == io.EOF); verr != nil {
			z.message = nil
			return 0, z.c.inbox.violated(ctx, verr)
		}
		return n, err
	}
	return 0, z.failed(ctx, err)
}

// isInterruption reports whether err means only that ctx was done.
func isInterruption(ctx context.Context, err error) bool {
	return ctx.Err() != nil && errors.Is(err, ctx.Err())
}

// appendWhole inflates a message that arrived in a single piece.
func (z *compression) appendWhole(ctx context.Context, dst []byte, ev protocol.Event) ([]byte, error) {
	base := len(dst)
	dst, err := z.in.Append(dst, ev.Payload, z.limit())
	if err != nil {
		return dst, z.failed(ctx, err)
	}
	if err := z.c.m.Inflated(dst[base:], true); err != nil {
		return dst[:base], z.c.inbox.violated(ctx, err)
	}
	return dst, nil
}

// appendRest inflates the current message to its end.
func (z *compression) appendRest(ctx context.Context, dst []byte) ([]byte, error) {
	for {
		if c := z.c; len(dst) == cap(dst) && c.inbox.viewing {
			dst = growLarge(dst, int64(len(dst)))
		}
		dst = slices.Grow(dst, 1)
		n, err := z.inflate(ctx, dst[len(dst):cap(dst)])
		dst = dst[:len(dst)+n]
		if err == io.EOF {
			return dst, nil
		}
		if err != nil {
			return dst, err
		}
	}
}

// skip inflates and discards the rest of the current message: with takeover, the next message may refer to that data.
func (z *compression) skip(ctx context.Context) error {
	buf := transport.Borrow()
	defer transport.Return(buf)
	for z.message != nil {
		if _, err := z.inflate(ctx, buf[:]); err != nil && err != io.EOF {
			return err
		}
	}
	return nil
}

func (z *compression) limit() int64 { return max(z.c.opts.limits.MaxMessage, -1) }

// failed fails the connection if a message cannot be inflated or is too large. It returns read errors unchanged.
func (z *compression) failed(ctx context.Context, err error) error {
	if errors.Is(err, deflate.ErrTooBig) {
		return z.c.inbox.violated(ctx, z.c.m.InflatesTooBig())
	}
	if corrupt, ok := errors.AsType[*deflate.CorruptError](err); ok {
		return z.c.inbox.violated(ctx, z.c.m.CannotInflate(corrupt.Section, corrupt.Detail))
	}
	return err
}

// WriteUncompressed is Write without compression, for a message that contains a secret. See [Compression].
func (c *Conn) WriteUncompressed(ctx context.Context, m Message) error {
	return c.outbox.write(ctx, m, true)
}

// refresh makes the next message start with an empty window if SendPrepared has sent data that the compressor has not seen. The
// caller holds the message turn.
func (z *compression) refresh() {
	z.c.mu.Lock()
	stale := z.stale
	z.stale = false
	z.c.mu.Unlock()
	if stale {
		z.out.Forget()
	}
}

// deflated holds compressed messages while they are written.
var deflated = sync.Pool{New: func() any { return new([]byte) }}

// keepDeflated bounds the size of the buffers that are kept in the pool.
const keepDeflated = 1 << 20

// write sends m compressed, or uncompressed if the uncompressed form is shorter.
func (z *compression) write(ctx context.Context, m Message) error {
	if err := z.c.outbox.beginMessage(ctx); err != nil {
		return err
	}
	defer z.c.outbox.endMessage()
	z.refresh()
	buf := deflated.Get().(*[]byte)
	out := z.out.Append((*buf)[:0], m.Data)
	if cap(out) <= keepDeflated {
		*buf = out
	}
	defer deflated.Put(buf)
	if len(out) >= len(m.Data) {
		z.out.Forget() // the peer will not receive the compressed data
		return z.c.outbox.writeFrame(ctx, outgoing{t: m.Type, fin: true, p: m.Data})
	}
	err := z.c.outbox.writeFrame(ctx, outgoing{t: m.Type, compressed: true, fin: true, p: out})
	if err != nil {
		z.out.Forget()
	}
	return err
}

// prepare compresses p, if z would send it compressed, before the caller takes a lock that other goroutines wait for. z may be nil.
func (z *compression) prepare(p *Prepared) {
	if z == nil {
		return
	}
	if f := p.frames(); len(f.Payload()) >= z.threshold {
		f.Compressed(z.bits)
	}
}

// sharedSent is called for each shared frame. If e is a compressed message, sharedSent records that the peer will receive data that
// this connection's compressor has not seen. z may be nil. The caller holds mu.
func (z *compression) sharedSent(e entry) {
	if z != nil && e.frame[0]&frame.RSV1 != 0 {
		z.stale = true
	}
}
