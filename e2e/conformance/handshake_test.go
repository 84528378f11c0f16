package conformance

import (
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// The peer's opening handshake (RFC 6455 §4) is as simple as possible, because it is not under test here.

const (
	sampleKey  = "dGhlIHNhbXBsZSBub25jZQ==" // the example of RFC 6455 §1.3
	acceptGUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
)

func acceptFor(key string) string {
	sum := sha1.Sum([]byte(key + acceptGUID))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// openAsClient sends a handshake request and reads the response. A nil ext means that no extension is offered.
func (p *peer) openAsClient(host string, ext *extension) {
	lines := []string{
		"GET /echo HTTP/1.1",
		"Host: " + host,
		"Upgrade: websocket",
		"Connection: Upgrade",
		"Sec-WebSocket-Key: " + sampleKey,
		"Sec-WebSocket-Version: 13",
	}
	if ext != nil {
		lines = append(lines, "Sec-WebSocket-Extensions: "+ext.offer)
	}
	request := strings.Join(append(lines, "", ""), "\r\n")
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
		return p.agree(strings.Join(resp.Header.Values("Sec-WebSocket-Extensions"), ","), ext)
	}
	if p.cut == joined && ext == nil { // with an extension, the response determines whether data is compressed
		p.out = []byte(request)
		return
	}
	p.write(0, []byte(request))
	p.conn.SetReadDeadline(time.Now().Add(readTimeout))
	if p.err == nil {
		p.err, p.answer = p.answer(), nil
	}
}

// agree applies the server's response to the peer's offer.
func (p *peer) agree(answer string, ext *extension) error {
	if ext == nil {
		if answer != "" {
			return fmt.Errorf("the response contains extensions that were not offered: %q", answer)
		}
		return nil
	}
	a, err := parseAgreement(answer, ext.offer)
	if err != nil {
		return err
	}
	p.zip = newCompressor(a.clientBits, a.clientNoTakeover)
	p.in.zip = newDecompressor(a.serverBits, a.serverNoTakeover)
	return nil
}

// openAsServer reads a handshake request and sends a 101 response. A nil ext means that no extension is accepted.
func (p *peer) openAsServer(ext *extension) {
	p.conn.SetReadDeadline(time.Now().Add(readTimeout))
	req, err := http.ReadRequest(p.in.br)
	if err != nil {
		p.fail("read the request: %w", err)
		return
	}
	lines := []string{
		"HTTP/1.1 101 Switching Protocols",
		"Upgrade: websocket",
		"Connection: Upgrade",
		"Sec-WebSocket-Accept: " + acceptFor(req.Header.Get("Sec-WebSocket-Key")),
	}
	if ext != nil {
		offer := strings.Join(req.Header.Values("Sec-WebSocket-Extensions"), ",")
		if !strings.Contains(offer, "permessage-deflate") || !strings.Contains(offer, ext.allow) {
			p.fail("the offer %q does not allow for the answer %q", offer, ext.answer)
			return
		}
		a, err := parseAgreement(ext.answer, offer)
		if err != nil {
			p.fail("%w", err)
			return
		}
		p.zip = newCompressor(a.serverBits, a.serverNoTakeover)
		p.in.zip = newDecompressor(a.clientBits, a.clientNoTakeover)
		lines = append(lines, "Sec-WebSocket-Extensions: "+ext.answer)
	}
	p.raw(0, []byte(strings.Join(append(lines, "", ""), "\r\n")))
}
