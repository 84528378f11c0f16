//go:build linux

package load

import (
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
)

const (
	opContinuation = 0
	opBinary       = 2
	opClose        = 8
	opPing         = 9
	fin            = 0x80
	rsv1           = 0x40
	masked         = 0x80
)

// maskKey is the same for all frames, because they are built once.
var maskKey = [4]byte{0x37, 0xfa, 0x21, 0x3d}

// appendFrame appends a client's frame, which is masked (RFC 6455 §5.3). first contains FIN, RSV1 and the opcode.
func appendFrame(dst []byte, first byte, payload []byte) []byte {
	switch n := len(payload); {
	case n < 126:
		dst = append(dst, first, masked|byte(n))
	case n < 1<<16:
		dst = binary.BigEndian.AppendUint16(append(dst, first, masked|126), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, first, masked|127), uint64(n))
	}
	dst = append(dst, maskKey[:]...)
	start := len(dst)
	dst = append(dst, payload...)
	for i := range dst[start:] {
		dst[start+i] ^= maskKey[i&3]
	}
	return dst
}

// key is the Sec-WebSocket-Key of every handshake, the one in RFC 6455 §1.3.
const key = "dGhlIHNhbXBsZSBub25jZQ=="

var acceptKey = func() string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}()

// request returns the opening handshake.
func request(c *Config) []byte {
	scheme := "http"
	if c.TLS {
		scheme = "https"
	}
	if c.NoOrigin {
		scheme = ""
	}
	extensions := ""
	switch c.Compress {
	case CompressEach:
		extensions = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
	case CompressTakeover:
		extensions = "permessage-deflate; client_max_window_bits"
	}
	return handshake(scheme, c.Addr, "/", "Sec-WebSocket-Extensions", extensions)
}

// handshake returns an opening handshake, with an Origin of the given scheme and an additional header field unless these are empty.
func handshake(scheme, addr, path, name, value string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n", path, addr)
	if scheme != "" {
		fmt.Fprintf(&b, "Origin: %s://%s\r\n", scheme, addr)
	}
	fmt.Fprintf(&b, "Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n", key)
	if value != "" {
		fmt.Fprintf(&b, "%s: %s\r\n", name, value)
	}
	b.WriteString("User-Agent: load\r\n\r\n")
	return b.Bytes()
}

// answered looks for the end of the handshake response in b, and checks the response. It returns the length of the response, or 0 if the
// response is not complete yet.
func answered(c *Config, b []byte) (int, error) {
	end := bytes.Index(b, []byte("\r\n\r\n"))
	if end < 0 {
		if len(b) > 8<<10 {
			return 0, errors.New("load: the answer to the handshake has no end")
		}
		return 0, nil
	}
	head := string(b[:end+2])
	if !strings.HasPrefix(head, "HTTP/1.1 101 ") {
		return 0, fmt.Errorf("load: the handshake failed: %.80q", head)
	}
	if !strings.Contains(head, acceptKey+"\r\n") {
		return 0, errors.New("load: the answer to the handshake has the wrong key")
	}
	return end + 4, compressionAgreed(c, strings.ToLower(head))
}

func compressionAgreed(c *Config, head string) error {
	has := func(s string) bool { return strings.Contains(head, s) }
	switch {
	case c.Compress == CompressNone:
		return nil
	case !has("permessage-deflate"):
		return fmt.Errorf("%w: permessage-deflate", ErrNotSupported)
	case c.Compress == CompressTakeover && has("no_context_takeover"):
		return fmt.Errorf("%w: context takeover", ErrNotSupported)
	case has("client_max_window_bits") && !slices.ContainsFunc([]string{"12", "13", "14", "15"}, func(bits string) bool {
		return has("client_max_window_bits=" + bits)
	}):
		return fmt.Errorf("%w: a client's window of %d bits", ErrNotSupported, windowBits)
	case c.Compress == CompressEach && !(has("server_no_context_takeover") && has("client_no_context_takeover")):
		return fmt.Errorf("%w: messages compressed each by itself", ErrNotSupported)
	}
	return nil
}
