package handshake

import (
	"crypto/sha1"
	"encoding/base64"
)

// GUID is the string that a server appends to the key to prove that it supports WebSocket (RFC 6455 §1.3).
const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

const keySize = 24 // 16 bytes in base64

// AppendAccept appends the Sec-WebSocket-Accept value for key (RFC 6455 §4.2.2).
func AppendAccept(dst []byte, key string) []byte {
	var b [keySize + len(GUID)]byte
	sum := sha1.Sum(append(append(b[:0], key...), GUID...))
	return base64.StdEncoding.AppendEncode(dst, sum[:])
}

// EncodeKey returns the Sec-WebSocket-Key for a nonce (RFC 6455 §4.1).
func EncodeKey(nonce [16]byte) string { return base64.StdEncoding.EncodeToString(nonce[:]) }

// validKey reports whether key is base64 that decodes to exactly 16 bytes (RFC 6455 §4.2.1).
//
// The four unused bits of the last character may have any value: RFC 4648 §3.5 leaves it to the decoder whether to check them, and
// RFC 6455 only requires 16 bytes.
func validKey(key string) bool {
	if len(key) != keySize {
		return false
	}
	var src [keySize]byte
	var dst [18]byte
	copy(src[:], key)
	n, err := base64.StdEncoding.Decode(dst[:], src[:])
	return err == nil && n == 16
}
