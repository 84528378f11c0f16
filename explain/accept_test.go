package explain

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/handfast/handfast/websocket/handshake"
)

// Each common mistake in computing the accept value is recognized, and no other value is.
func TestRFC6455_4_2_2_AcceptMistakes(t *testing.T) {
	tr := newTracer(t.Context(), nil)
	key := base64.StdEncoding.EncodeToString([]byte("sixteen bytes of"))
	tr.r.Key = newKeyReport(key)
	const guid = handshake.GUID
	b64 := func(s string) string {
		sum := sha1.Sum([]byte(s))
		return base64.StdEncoding.EncodeToString(sum[:])
	}
	sum := sha1.Sum([]byte(key + guid))
	long, short := sha256.Sum256([]byte(key+guid)), md5.Sum([]byte(key+guid))
	for value, want := range map[string]string{
		key: "not hashed", b64(key): "without the GUID", b64("sixteen bytes of" + guid): "decoded key", b64(key + strings.ToLower(guid)): "lower case",
		b64(guid + key): "wrong order", b64(key + " " + guid): "a space", b64(key + guid + "\n"): "newline at the end", b64(key + "\r\n" + guid): "CR LF of the header",
		hex.EncodeToString(sum[:]): "hexadecimal instead", base64.StdEncoding.EncodeToString([]byte(hex.EncodeToString(sum[:]))): "base64 of the hash in hexadecimal",
		base64.RawStdEncoding.EncodeToString(sum[:]): "without its padding", base64.StdEncoding.EncodeToString(long[:]): "SHA-256",
		base64.StdEncoding.EncodeToString(short[:]): "MD5", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=": "example of RFC 6455",
		"hello": "not the base64 of 20 bytes", base64.StdEncoding.EncodeToString(make([]byte, 19)): "not the base64 of 20 bytes", b64("something else"): "",
	} {
		if got := tr.guessAccept(value); (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", value, got, want)
		}
	}
	tr.r.Key = &Key{Key: "!"}
	if got := tr.guessAccept("hello"); got != "" {
		t.Errorf("for an invalid key: %q", got)
	}
}
