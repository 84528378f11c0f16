package explain

import (
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
)

// The decoded size of a body is limited. The readable part of a truncated body, or of a body with a wrong coding, is displayed.
func TestDecodedIsBounded(t *testing.T) {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write(make([]byte, 10<<20)) //nolint:errcheck // writing to memory does not fail
	w.Close()
	if plain, ok := decoded("gzip", b.Bytes()); !ok || len(plain) != 2*maxBody {
		t.Errorf("%d bytes, %t", len(plain), ok)
	}
	if plain, ok := decoded("gzip", b.Bytes()[:b.Len()/2]); !ok || len(plain) == 0 || plain[0] != 0 {
		t.Errorf("cut: %d bytes, %t", len(plain), ok)
	}
	if plain, ok := decoded("gzip", []byte("plain text")); !ok || string(plain) != "plain text" {
		t.Errorf("not gzip: %q, %t", plain, ok)
	}
	b.Reset()
	br := brotli.NewWriter(&b)
	br.Write(make([]byte, 10<<20)) //nolint:errcheck // writing to memory does not fail
	br.Close()
	if plain, ok := decoded("br", b.Bytes()); !ok || len(plain) != 2*maxBody {
		t.Errorf("br: %d bytes, %t", len(plain), ok)
	}
	if plain, ok := decoded("br", []byte("plain text")); !ok || string(plain) != "plain text" {
		t.Errorf("not br: %q, %t", plain, ok)
	}
	if _, ok := decoded("zstd", []byte("x")); ok {
		t.Error("zstd is decoded")
	}
	for in, charset := range map[string]string{"\xff\xfeh\x00i\x00": "", "\xfe\xff\x00h\x00i": "", "h\x00i\x00": "utf-16le", "\x00h\x00i": "utf-16", "hi": "utf-8"} {
		if got := fromUTF16([]byte(in), charset); string(got) != "hi" {
			t.Errorf("%q as %q: %q", in, charset, got)
		}
	}
}

// A secret is redacted in hexadecimal, in upper and lower case, and also if only the first 8 or more characters are present.
func TestFormsOfASecret(t *testing.T) {
	const s = "Token-Ab12-Cd34-Ef56"
	r := &redactor{}
	r.add(s)
	for in, want := range map[string]string{
		"got " + s + ".":                                     "got [redacted].",
		"got " + strings.ToUpper(s) + ".":                    "got [redacted].",
		"got " + strings.ToLower(s) + ".":                    "got [redacted].",
		"hex " + hex.EncodeToString([]byte(s)):               "hex [redacted]",
		strings.ToUpper(hex.EncodeToString([]byte(s[:10]))):  "[redacted]",
		"token Token-Ab…":                                    "token [redacted]…",
		"token-ab12-X and Token-Ab12-Cd3 and " + s + s + "!": "[redacted]X and [redacted] and [redacted][redacted]!",
		"Token-A is too short":                               "Token-A is too short",
		"gr\u00fc\u00dfe Token-Ab12\u0130":                   "gr\u00fc\u00dfe [redacted]\u0130",
	} {
		if got := r.text(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// wrongOrigin has a remark about each origin that no browser would send.
func TestWrongOrigin(t *testing.T) {
	for origin, want := range map[string]string{
		"": "", "null": "", "https://app.example": "", "http://app.example:8080": "", "app.example": "no scheme", "https://app.example/": "a path",
		"https://App.example": "upper-case", "https://app.example:443": "port", "http://app.example:80": "port", "https://app.example:80": "",
	} {
		if got := wrongOrigin(origin); !strings.Contains(got, want) || (got == "") != (want == "") {
			t.Errorf("%q: %q", origin, got)
		}
	}
}
