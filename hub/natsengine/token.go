package natsengine

import (
	"crypto/sha256"
	"encoding/base64"
	"strings"

	"github.com/handfast/handfast/hub"
)

const (
	maxToken  = 300 // in bytes; longer tokens are hashed
	hexDigits = "0123456789ABCDEF"
)

// token returns s as a single token of a subject. Different strings have different tokens.
func token(s string) string {
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte("-_:#/@+,", c) >= 0:
			b.WriteByte(c)
		default:
			b.WriteByte('=')
			b.WriteByte(hexDigits[c>>4])
			b.WriteByte(hexDigits[c&15])
		}
	}
	switch {
	case b.Len() == 0:
		return "="
	case b.Len() > maxToken:
		return "=~" + hash(s)
	}
	return b.String()
}

// hash returns a short name for a list of strings.
func hash(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		h.Write([]byte(p))
		h.Write([]byte{0})
	}
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:18])
}

// channelTokens returns the subject tokens of an engine's channel.
func channelTokens(channel string) string {
	app, name := hub.SplitChannel(channel)
	return token(app) + "." + token(name)
}
