package gateway

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
)

// key signs the tokens in these tests.
var key = secret("this key signs the tokens of the tests of the gateway")

// token returns a token of a user with a lifetime and additional claims.
func token(user string, lasts time.Duration, more map[string]any) string {
	claims := map[string]any{"sub": user, "exp": time.Now().Add(lasts).Unix(), "iat": time.Now().Unix()}
	maps.Copy(claims, more)
	payload, err := json.Marshal(claims)
	if err != nil {
		panic(err) // encoding these claims cannot fail
	}
	head := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." +
		base64.RawURLEncoding.EncodeToString(payload)
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(head))
	return secret(head + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil)))
}

// users is a configuration with a token method named users, and an endpoint /chat that uses it.
const users = `
auth:
	users:
		jwt: {secret: "%[1]s", skew: 0s, from: [bearer, "query:token", subprotocol]}
endpoints:
	- {name: chat, path: /chat, target: echo, auth: [users]}
	- {name: open, path: /open, target: echo, auth: [anonymous]}
`

// withToken returns client options with a token.
func withToken(token string) *websocket.DialOptions {
	return &websocket.DialOptions{Header: http.Header{"Authorization": {"Bearer " + token}}}
}

// withLocalAddr returns the options of a client that connects from a loopback address.
func withLocalAddr(addr string, opts *websocket.DialOptions) *websocket.DialOptions {
	if opts == nil {
		opts = &websocket.DialOptions{}
	}
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IP(netip.MustParseAddr(addr).AsSlice())}}
	opts.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		return d.DialContext(ctx, network, address)
	}
	return opts
}

// open opens a WebSocket.
func (r *running) open(t *testing.T, path string, opts *websocket.DialOptions) *websocket.Conn {
	t.Helper()
	c, err := websocket.Dial(bounded.Context(t), r.URLs()[0]+path, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.CloseNow() })
	return c
}

// openFor opens /chat with a token of alice that expires after lasts. If the handshake fails with a short-lived token, openFor tries again
// with a longer lifetime.
func (r *running) openFor(t *testing.T, lasts time.Duration) *websocket.Conn {
	t.Helper()
	c, err := websocket.Dial(bounded.Context(t), r.URLs()[0]+"/chat", withToken(token("alice", lasts, nil)))
	if err != nil && lasts < time.Minute {
		return r.openFor(t, 3*lasts)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.CloseNow() })
	return c
}

// refuse performs a handshake that must be rejected, and returns the error.
func (r *running) refuse(t *testing.T, path string, opts *websocket.DialOptions) *websocket.HandshakeError {
	t.Helper()
	c, err := websocket.Dial(bounded.Context(t), r.URLs()[0]+path, opts)
	if err == nil {
		c.CloseNow()
		t.Fatalf("%s: the client was admitted", path)
	}
	e, ok := errors.AsType[*websocket.HandshakeError](err)
	if !ok {
		t.Fatalf("%s: %v", path, err)
	}
	return e
}

// wantEcho sends a message and waits for its echo.
func wantEcho(t *testing.T, c *websocket.Conn) {
	t.Helper()
	if err := c.Write(bounded.Context(t), websocket.Message{Type: websocket.Text, Data: []byte("hello")}); err != nil {
		t.Fatal(err)
	}
	if m, err := c.Read(bounded.Context(t)); err != nil || string(m.Data) != "hello" {
		t.Fatalf("%q, %v", m.Data, err)
	}
}

// readCloseError reads until the connection ends, and returns the close error.
func readCloseError(t *testing.T, c *websocket.Conn) *websocket.CloseError {
	t.Helper()
	for {
		if _, err := c.Read(bounded.Context(t)); err != nil {
			e, ok := errors.AsType[*websocket.CloseError](err)
			if !ok {
				t.Fatal(err)
			}
			return e
		}
	}
}

// requestPage requests a page and returns the response and the body.
func requestPage(t *testing.T, method, url string, header http.Header) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if header != nil {
		req.Header = header
		req.Host = header.Get("Host")
	}
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

// waitForLog waits until the log contains a text.
func waitForLog(t *testing.T, o *output, parts ...string) {
	t.Helper()
	bounded.Until(t, func() bool {
		for line := range strings.Lines(o.String()) {
			all := true
			for _, p := range parts {
				all = all && strings.Contains(line, p)
			}
			if all {
				return true
			}
		}
		return false
	})
}
