package conformance

import (
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// The opening handshake of the peer (RFC 6455 §4), as plain as it can be: it is not what is tested here.

const (
	sampleKey  = "dGhlIHNhbXBsZSBub25jZQ==" // of RFC 6455 §1.3
	acceptGUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
)

func acceptFor(key string) string {
	sum := sha1.Sum([]byte(key + acceptGUID))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// openAsClient sends the request for path and reads the response.
func (p *peer) openAsClient(host, path string) {
	request := strings.Join([]string{
		"GET " + path + " HTTP/1.1",
		"Host: " + host,
		"Upgrade: websocket",
		"Connection: Upgrade",
		"Sec-WebSocket-Key: " + sampleKey,
		"Sec-WebSocket-Version: 13",
		"", ""}, "\r\n")
	p.answer = func() error {
		resp, err := http.ReadResponse(p.in.br, nil)
		if err != nil {
			return fmt.Errorf("read the response: %w", err)
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusSwitchingProtocols {
			return fmt.Errorf("the opening handshake was answered with %s", resp.Status)
		}
		if got := resp.Header.Get("Sec-WebSocket-Accept"); got != acceptFor(sampleKey) {
			return fmt.Errorf("Sec-WebSocket-Accept is %q", got)
		}
		return nil
	}
	if p.cut == joined {
		p.out = []byte(request)
		return
	}
	p.write(0, []byte(request))
	p.conn.SetReadDeadline(time.Now().Add(patience))
	if p.err == nil {
		p.err, p.answer = p.answer(), nil
	}
}

// openAsServer reads a request and answers it with 101.
func (p *peer) openAsServer() {
	p.conn.SetReadDeadline(time.Now().Add(patience))
	req, err := http.ReadRequest(p.in.br)
	if err != nil {
		p.fail("read the request: %w", err)
		return
	}
	p.raw(0, []byte(strings.Join([]string{
		"HTTP/1.1 101 Switching Protocols",
		"Upgrade: websocket",
		"Connection: Upgrade",
		"Sec-WebSocket-Accept: " + acceptFor(req.Header.Get("Sec-WebSocket-Key")),
		"", ""}, "\r\n")))
}
