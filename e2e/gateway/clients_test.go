//go:build e2e

package gateway

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
)

// key signs the tokens of these tests.
var key = secret("the key of all tokens in the tests of the gateway's binary")

// token returns a token for a user that is valid for the given time.
func token(user string, lasts time.Duration) string {
	payload, err := json.Marshal(map[string]any{"sub": user, "iat": time.Now().Unix(), "exp": time.Now().Add(lasts).Unix()})
	if err != nil {
		panic(err) // strings and numbers can always be encoded
	}
	encode := base64.RawURLEncoding.EncodeToString
	head := encode([]byte(`{"alg":"HS256"}`)) + "." + encode(payload)
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(head))
	return secret(head + "." + encode(mac.Sum(nil)))
}

// as returns client options with a token.
func as(token string) *websocket.DialOptions {
	return &websocket.DialOptions{Header: http.Header{"Authorization": {"Bearer " + token}}}
}

// from makes a client connect from a given loopback address.
func from(addr string) *websocket.DialOptions {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IP(netip.MustParseAddr(addr).AsSlice())}}
	return &websocket.DialOptions{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		return d.DialContext(ctx, network, address)
	}}
}

// dial opens a WebSocket.
func dial(t *testing.T, url string, opts *websocket.DialOptions) *websocket.Conn {
	t.Helper()
	c, err := websocket.Dial(bounded.Context(t), url, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.CloseNow() })
	return c
}

// refused attempts to open a WebSocket that must be rejected, and returns the status.
func refused(t *testing.T, url string, opts *websocket.DialOptions) int {
	t.Helper()
	c, err := websocket.Dial(bounded.Context(t), url, opts)
	if err == nil {
		c.CloseNow()
		t.Fatalf("%s: the client was admitted", url)
	}
	e, ok := errors.AsType[*websocket.HandshakeError](err)
	if !ok {
		t.Fatal(err)
	}
	return e.Status
}

// echoed sends a message and waits for its echo.
func echoed(t *testing.T, c *websocket.Conn) {
	t.Helper()
	err := c.Write(bounded.Context(t), websocket.Message{Type: websocket.Text, Data: []byte("hello")})
	if err == nil {
		_, err = c.Read(bounded.Context(t))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// code waits for the end of a connection and returns its close code.
func code(t *testing.T, c *websocket.Conn) websocket.Code {
	t.Helper()
	for {
		if _, err := c.Read(bounded.Context(t)); err != nil {
			return websocket.CloseCode(err)
		}
	}
}
