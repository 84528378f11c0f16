package pusher

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// sign returns the signature of text: its HMAC-SHA256 in hexadecimal digits.
func (a *App) sign(text string) string {
	h := hmac.New(sha256.New, []byte(a.Secret))
	h.Write([]byte(text))
	return hex.EncodeToString(h.Sum(nil))
}

// signed reports whether signature is valid for text, in constant time.
func (a *App) signed(text, signature string) bool {
	return a.Secret != "" && hmac.Equal([]byte(a.sign(text)), []byte(signature))
}

// authorized reports whether auth, a key and a signature separated by a colon, is valid for text.
func (a *App) authorized(auth, text string) bool {
	key, signature, _ := strings.Cut(auth, ":")
	return key == a.Key && a.signed(text, signature)
}

// channelText returns the signed text for a subscription. data is the channel_data of any channel; "" if there is none.
func channelText(socketID, channel, data string) string {
	if data != "" {
		return socketID + ":" + channel + ":" + data
	}
	return socketID + ":" + channel
}

// userText returns the signed text for a sign-in.
func userText(socketID, data string) string { return socketID + "::user::" + data }
