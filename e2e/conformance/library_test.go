package conformance

import (
	"bytes"
	"context"
	"net/http"
	"time"

	"github.com/handfast/handfast/websocket"
)

func connOptions(a app) websocket.ConnOptions {
	limit := a.limit
	if limit == 0 {
		limit = 16 << 20
	}
	var zip *websocket.Compression
	if a.compress {
		zip = &websocket.Compression{Threshold: -1}
	}
	// Pings are disabled, because scripts do not expect them. The library's timeout is longer than the peer's, so that the peer does not
	// mistake the effect of the library's timeout for a response.
	return websocket.ConnOptions{MaxMessage: limit, Compression: zip, PingInterval: -1, CloseTimeout: 3 * readTimeout}
}

// serve is the handler of the tested server. It returns the error that ended the connection.
func serve(ctx context.Context, w http.ResponseWriter, r *http.Request, a app) error {
	c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Conn: connOptions(a)})
	if err != nil {
		return err
	}
	defer c.CloseNow()
	return loop(ctx, c, a)
}

// dial runs the tested client. It returns the error that ended the connection.
func dial(ctx context.Context, url string, a app) error {
	_, client := tlsConfigs()
	c, err := websocket.Dial(ctx, url, &websocket.DialOptions{TLS: client, Conn: connOptions(a)})
	if err != nil {
		return err
	}
	defer c.CloseNow()
	return loop(ctx, c, a)
}

// loop echoes messages until the connection ends.
func loop(ctx context.Context, c *websocket.Conn, a app) error {
	ctx, cancel := context.WithTimeout(ctx, runTimeout-10*time.Second)
	defer cancel()
	if a.closeCode != 0 {
		if _, err := c.Read(ctx); err != nil {
			return err
		}
		return c.Close(websocket.Code(a.closeCode), a.reason)
	}
	switch a.calls {
	case bySend:
		return echoSend(ctx, c)
	case byStream:
		return echoStream(ctx, c)
	case byMessages:
		return echoMessages(ctx, c)
	case byView:
		return echoView(ctx, c)
	}
	return echo(ctx, c)
}

// echo echoes messages with Read and Write.
func echo(ctx context.Context, c *websocket.Conn) error {
	for {
		m, err := c.Read(ctx)
		if err != nil {
			return err
		}
		if err := c.Write(ctx, m); err != nil {
			return err
		}
	}
}

// echoMessages echoes messages with Messages and Write.
func echoMessages(ctx context.Context, c *websocket.Conn) error {
	for m, err := range c.Messages(ctx) {
		if err != nil {
			return err
		}
		if err := c.Write(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

// echoSend echoes messages with Read and Send.
func echoSend(ctx context.Context, c *websocket.Conn) error {
	for {
		m, err := c.Read(ctx)
		if err != nil {
			return err
		}
		if err := c.Send(m); err != nil {
			return err
		}
	}
}

// echoView echoes messages with View and Write.
func echoView(ctx context.Context, c *websocket.Conn) error {
	for {
		if err := c.View(ctx, func(m websocket.Message) error { return c.Write(ctx, m) }); err != nil {
			return err
		}
	}
}

// echoStream echoes messages with Reader and Writer. It reads the whole message first: otherwise it would send the beginning of a message
// that turns out to be invalid.
func echoStream(ctx context.Context, c *websocket.Conn) error {
	var buf bytes.Buffer
	for {
		t, r, err := c.Reader(ctx)
		if err != nil {
			return err
		}
		buf.Reset()
		if _, err := buf.ReadFrom(r); err != nil {
			return err
		}
		data := buf.Bytes()
		w, err := c.Writer(ctx, t)
		if err != nil {
			return err
		}
		half := len(data) / 2 // often in the middle of a rune
		for _, piece := range [][]byte{data[:half], data[half:]} {
			if _, err := w.Write(piece); err != nil {
				return err
			}
		}
		if err := w.Close(); err != nil {
			return err
		}
	}
}
