package wstest

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/handfast/handfast/websocket/protocol"
)

// AcceptPeer replies to a client's opening handshake and returns a Peer in the role of the server. In a handler of an
// httptest.Server it tests how client code handles a misbehaving server. header is added to the response, and may be nil.
//
// AcceptPeer checks only the key, and responds with status 400 if there is none. The caller must close the Peer, even after the handler has
// returned.
func AcceptPeer(w http.ResponseWriter, r *http.Request, header http.Header) (*Peer, error) {
	key := r.Header.Get("Sec-WebSocket-Key")
	if key == "" {
		http.Error(w, "wstest: a request without a Sec-WebSocket-Key", http.StatusBadRequest)
		return nil, errors.New("wstest: a request without a Sec-WebSocket-Key")
	}
	conn, buf, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, fmt.Errorf("wstest: taking the connection over: %w", err)
	}
	answer := http.Header{}
	maps.Copy(answer, header)
	answer.Set("Upgrade", "websocket")
	answer.Set("Connection", "Upgrade")
	answer.Set("Sec-WebSocket-Accept", acceptKey(key))
	buf.WriteString("HTTP/1.1 101 Switching Protocols\r\n") //nolint:errcheck // Flush returns the first error
	answer.Write(buf)                                       //nolint:errcheck // Flush returns the first error
	buf.WriteString("\r\n")                                 //nolint:errcheck // Flush returns the first error
	err = errors.Join(conn.SetDeadline(time.Time{}), buf.Flush())
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("wstest: answering the handshake: %w", err)
	}
	return &Peer{role: protocol.RoleServer, stream: conn, in: buf.Reader}, nil
}

// DialPeer opens a connection to a ws or http URL and returns a Peer in the role of the client. It tests how a handler handles a
// misbehaving client. header is added to the request, and may be nil. ctx limits the opening handshake. Any response except 101 is
// an error. The caller must close the Peer.
func DialPeer(ctx context.Context, url string, header http.Header) (*Peer, error) {
	scheme, rest, _ := strings.Cut(url, "://")
	if scheme != "ws" && scheme != "http" {
		return nil, fmt.Errorf("wstest: the URL's scheme is %q, want ws or http", scheme)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+rest, nil)
	if err != nil {
		return nil, fmt.Errorf("wstest: %w", err)
	}
	maps.Copy(req.Header, header)
	req.Header.Set("Upgrade", "websocket")
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Sec-WebSocket-Version", "13")
	key := make([]byte, 16)
	rand.Read(key)
	req.Header.Set("Sec-WebSocket-Key", base64.StdEncoding.EncodeToString(key))

	address := req.URL.Host
	if req.URL.Port() == "" {
		address = net.JoinHostPort(req.URL.Hostname(), "80")
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("wstest: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	p, err := requestPeer(conn, req)
	if !stop() {
		err = context.Cause(ctx) // ctx has already closed the connection
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("wstest: opening a connection to %s: %w", address, err)
	}
	return p, nil
}

// requestPeer sends the request and reads the response.
func requestPeer(conn net.Conn, req *http.Request) (*Peer, error) {
	if err := req.Write(conn); err != nil {
		return nil, err
	}
	in := bufio.NewReader(conn)
	// The body is not closed, because Close would wait for the rest of it, which may never arrive. Closing conn is sufficient.
	resp, err := http.ReadResponse(in, req) //nolint:bodyclose // Close of the body would wait for data that may never arrive
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		return nil, fmt.Errorf("the response is %s", resp.Status)
	}
	return &Peer{role: protocol.RoleClient, stream: conn, in: in}, nil
}

// acceptKey returns the Sec-WebSocket-Accept value for a key (RFC 6455 §4.2.2).
func acceptKey(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}
