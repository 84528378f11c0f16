package explain

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"

	"github.com/handfast/handfast/websocket/handshake"
)

// newKeyReport returns the computation of the accept value that a server must send for key (RFC 6455 §4.2.2).
func newKeyReport(key string) *Key {
	joined := key + handshake.GUID
	sum := sha1.Sum([]byte(joined))
	return &Key{
		Key: key, GUID: handshake.GUID, Joined: joined, SHA1: hex.EncodeToString(sum[:]),
		Want: string(handshake.AppendAccept(nil, key)),
	}
}

// guessAccept explains a wrong accept value by comparing it with the results of common mistakes.
func (t *tracer) guessAccept(got string) string {
	key := t.r.Key.Key
	raw, err := base64.StdEncoding.DecodeString(key)
	if err != nil {
		return ""
	}
	b64 := func(s string) string {
		sum := sha1.Sum([]byte(s))
		return base64.StdEncoding.EncodeToString(sum[:])
	}
	sum := sha1.Sum([]byte(key + handshake.GUID))
	long := sha256.Sum256([]byte(key + handshake.GUID))
	short := md5.Sum([]byte(key + handshake.GUID))
	for _, try := range [...]struct{ value, mistake string }{
		{key, "the key itself, not hashed"},
		{b64(key), "the hash of the key without the GUID"},
		{b64(string(raw) + handshake.GUID), "the hash of the decoded key: the key is hashed as base64 text"},
		{b64(key + strings.ToLower(handshake.GUID)), "the hash with the GUID in lower case"},
		{b64(handshake.GUID + key), "the hash of the GUID and the key, in the wrong order"},
		{b64(key + " " + handshake.GUID), "the hash with a space between key and GUID"},
		{b64(key + handshake.GUID + "\n"), "the hash with a newline at the end"},
		{b64(key + "\r\n" + handshake.GUID), "the hash with the CR LF of the header in it"},
		{hex.EncodeToString(sum[:]), "the hash in hexadecimal instead of base64"},
		{base64.StdEncoding.EncodeToString([]byte(hex.EncodeToString(sum[:]))), "the base64 of the hash in hexadecimal, not of its 20 bytes"},
		{base64.RawStdEncoding.EncodeToString(sum[:]), "the base64 without its padding"},
		{base64.URLEncoding.EncodeToString(sum[:]), "the URL-safe base64"},
		{base64.StdEncoding.EncodeToString(long[:]), "SHA-256 instead of SHA-1"},
		{base64.StdEncoding.EncodeToString(short[:]), "MD5 instead of SHA-1"},
		{"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "the example of RFC 6455 §1.3, which is for another key"},
	} {
		if got == try.value {
			return ": " + try.mistake
		}
	}
	if b, err := base64.StdEncoding.DecodeString(got); err != nil || len(b) != sha1.Size {
		return ", which is not the base64 of 20 bytes"
	}
	return ""
}
