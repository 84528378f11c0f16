package pusher

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// sign returns the signature of text: HMAC-SHA256 in hexadecimal.
func (a *App) sign(text string) string {
	h := hmac.New(sha256.New, []byte(a.Secret))
	h.Write([]byte(text))
	return hex.EncodeToString(h.Sum(nil))
}

// signed reports whether signature is that of text, in constant time.
func (a *App) signed(text, signature string) bool {
	return a.Secret != "" && hmac.Equal([]byte(a.sign(text)), []byte(signature))
}

// authorized reports whether auth, a key and a signature with a colon between them, is for text.
func (a *App) authorized(auth, text string) bool {
	key, signature, _ := strings.Cut(auth, ":")
	return key == a.Key && a.signed(text, signature)
}

// channelText is what is signed for a subscription. data is the channel_data that comes with it, whatever the channel; "" if none
// does.
func channelText(socketID, channel, data string) string {
	if data != "" {
		return socketID + ":" + channel + ":" + data
	}
	return socketID + ":" + channel
}

// userText is what is signed for a sign-in.
func userText(socketID, data string) string { return socketID + "::user::" + data }
