package bench_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	coder "github.com/coder/websocket"
	gorilla "github.com/gorilla/websocket"
	"github.com/handfast/handfast/websocket"
)

// An end is one side of a connection, with any library. Its read method returns an ended error if the peer has closed.
type end interface {
	read(ctx context.Context) (websocket.Message, error)
	write(ctx context.Context, m websocket.Message) error
	writePieces(ctx context.Context, pieces []string) error // one text message in fragments
	ping(ctx context.Context) (time.Duration, error)        // called while another goroutine reads
	close(ctx context.Context, code int, reason string) error
	closeNow()
	subprotocol() string
}

// ended is the error of a read after the peer's close frame.
type ended struct {
	code   int
	reason string
}

func (e ended) Error() string { return fmt.Sprintf("the peer closed with %d %q", e.code, e.reason) }

// A library can open both ends of a connection.
type library struct {
	name   string
	accept func(w http.ResponseWriter, r *http.Request, v variant) (end, error)
	dial   func(ctx context.Context, url string, roots *tls.Config, v variant) (end, error)
}

var (
	ours = library{"handfast", func(w http.ResponseWriter, r *http.Request, v variant) (end, error) {
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: preferred, Conn: v.conn})
		return newOurEnd(c, v, err)
	}, func(ctx context.Context, url string, roots *tls.Config, v variant) (end, error) {
		c, err := websocket.Dial(ctx, url, &websocket.DialOptions{Subprotocols: offered, TLS: roots, Conn: v.conn})
		return newOurEnd(c, v, err)
	}}

	gorillas = library{"gorilla", func(w http.ResponseWriter, r *http.Request, v variant) (end, error) {
		u := gorilla.Upgrader{Subprotocols: preferred, EnableCompression: v.deflate}
		c, err := u.Upgrade(w, r, nil)
		if err != nil {
			return nil, err
		}
		return newGorillaEnd(c), nil
	}, func(ctx context.Context, url string, roots *tls.Config, v variant) (end, error) {
		d := gorilla.Dialer{Subprotocols: offered, TLSClientConfig: roots, EnableCompression: v.deflate}
		c, resp, err := d.DialContext(ctx, url, nil)
		if err != nil {
			return nil, err
		}
		resp.Body.Close()
		return newGorillaEnd(c), nil
	}}

	coders = library{"coder", func(w http.ResponseWriter, r *http.Request, v variant) (end, error) {
		c, err := coder.Accept(w, r, &coder.AcceptOptions{Subprotocols: preferred, CompressionMode: v.coderMode()})
		if err != nil {
			return nil, err
		}
		return newCoderEnd(c), nil
	}, func(ctx context.Context, url string, roots *tls.Config, v variant) (end, error) {
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: roots}}
		c, _, err := coder.Dial(ctx, url, &coder.DialOptions{
			Subprotocols: offered, HTTPClient: client, CompressionMode: v.coderMode()})
		if err != nil {
			return nil, err
		}
		return newCoderEnd(c), nil
	}}
)

// ourEnd is package websocket.
type ourEnd struct{ c *websocket.Conn }

func newOurEnd(c *websocket.Conn, v variant, err error) (end, error) {
	if err != nil {
		return nil, err
	}
	if name, _, _ := strings.Cut(c.Handshake().Extensions, ";"); name != v.extension {
		c.CloseNow()
		return nil, fmt.Errorf("extensions %q, want %q", name, v.extension)
	}
	return ourEnd{c}, nil
}

func (e ourEnd) read(ctx context.Context) (websocket.Message, error) {
	m, err := e.c.Read(ctx)
	var ce *websocket.CloseError
	if errors.As(err, &ce) && ce.ByPeer && ce.Err == nil {
		return m, ended{int(ce.Code), ce.Reason}
	}
	return m, err
}

func (e ourEnd) writePieces(ctx context.Context, pieces []string) error {
	w, err := e.c.Writer(ctx, websocket.Text)
	if err != nil {
		return err
	}
	return writeAll(w, pieces)
}

func (e ourEnd) write(ctx context.Context, m websocket.Message) error { return e.c.Write(ctx, m) }
func (e ourEnd) ping(ctx context.Context) (time.Duration, error)      { return e.c.Ping(ctx) }
func (e ourEnd) closeNow()                                            { e.c.CloseNow() }
func (e ourEnd) subprotocol() string                                  { return e.c.Handshake().Subprotocol }
func (e ourEnd) close(_ context.Context, code int, reason string) error {
	return e.c.Close(websocket.Code(code), reason)
}

// gorillaEnd is gorilla/websocket. It uses a deadline after limit instead of contexts.
type gorillaEnd struct {
	c     *gorilla.Conn
	pongs chan time.Time
}

func newGorillaEnd(c *gorilla.Conn) end {
	e := gorillaEnd{c, make(chan time.Time, 1)}
	c.SetPongHandler(func(string) error {
		e.pongs <- time.Now()
		return nil
	})
	return e
}

func (e gorillaEnd) read(context.Context) (websocket.Message, error) {
	if err := e.c.SetReadDeadline(time.Now().Add(limit)); err != nil {
		return websocket.Message{}, err
	}
	t, data, err := e.c.ReadMessage()
	var ce *gorilla.CloseError
	if errors.As(err, &ce) && ce.Code != gorilla.CloseAbnormalClosure {
		err = ended{ce.Code, ce.Text}
	}
	return websocket.Message{Type: websocket.Type(t), Data: data}, err
}

func (e gorillaEnd) write(_ context.Context, m websocket.Message) error {
	return e.c.WriteMessage(int(m.Type), m.Data)
}

func (e gorillaEnd) writePieces(_ context.Context, pieces []string) error {
	w, err := e.c.NextWriter(gorilla.TextMessage)
	if err != nil {
		return err
	}
	return writeAll(w, pieces)
}

func (e gorillaEnd) ping(ctx context.Context) (time.Duration, error) {
	start := time.Now()
	if err := e.c.WriteControl(gorilla.PingMessage, []byte("there?"), start.Add(limit)); err != nil {
		return 0, err
	}
	select {
	case pong := <-e.pongs:
		return pong.Sub(start), nil
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// close sends a close frame and waits for the peer's, which must have the same code.
func (e gorillaEnd) close(ctx context.Context, code int, reason string) error {
	defer e.closeNow()
	data := gorilla.FormatCloseMessage(code, reason)
	if err := e.c.WriteControl(gorilla.CloseMessage, data, time.Now().Add(limit)); err != nil {
		return err
	}
	_, err := e.read(ctx)
	var answer ended
	if !errors.As(err, &answer) || answer.code != code {
		return fmt.Errorf("the answer to the close frame: %w", err)
	}
	return nil
}

func (e gorillaEnd) closeNow()           { _ = e.c.Close() } // the test has already failed, or the connection is already closed
func (e gorillaEnd) subprotocol() string { return e.c.Subprotocol() }

// coderEnd is coder/websocket.
type coderEnd struct{ c *coder.Conn }

func newCoderEnd(c *coder.Conn) end {
	c.SetReadLimit(2 << 20) // the default of coder/websocket is 32 KiB
	return coderEnd{c}
}

func (e coderEnd) read(ctx context.Context) (websocket.Message, error) {
	t, data, err := e.c.Read(ctx)
	if ce, ok := errors.AsType[coder.CloseError](err); ok {
		err = ended{int(ce.Code), ce.Reason}
	}
	return websocket.Message{Type: websocket.Type(t), Data: data}, err
}

func (e coderEnd) write(ctx context.Context, m websocket.Message) error {
	return e.c.Write(ctx, coder.MessageType(m.Type), m.Data)
}

func (e coderEnd) writePieces(ctx context.Context, pieces []string) error {
	w, err := e.c.Writer(ctx, coder.MessageText)
	if err != nil {
		return err
	}
	return writeAll(w, pieces)
}

func (e coderEnd) ping(ctx context.Context) (time.Duration, error) {
	start := time.Now()
	err := e.c.Ping(ctx)
	return time.Since(start), err
}

func (e coderEnd) close(_ context.Context, code int, reason string) error {
	return e.c.Close(coder.StatusCode(code), reason)
}

func (e coderEnd) closeNow()           { _ = e.c.CloseNow() }
func (e coderEnd) subprotocol() string { return e.c.Subprotocol() }

func writeAll(w io.WriteCloser, pieces []string) error {
	for _, p := range pieces {
		if _, err := io.WriteString(w, p); err != nil {
			return err
		}
	}
	return w.Close()
}
