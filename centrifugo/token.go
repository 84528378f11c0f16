package centrifugo

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	maxToken = 16 << 10 // the maximum size of a token in bytes
	maxUser  = 512      // the maximum length of a user's ID in bytes
)

// The reasons for rejecting a token.
var (
	errExpiredToken = errors.New("centrifugo: the token has expired")
	errInvalidToken = errors.New("centrifugo: the token is not valid")
)

// Token is a token of the application, for a connection or for one of its subscriptions.
type Token struct {
	// User is the claim sub. "" means an anonymous user.
	User string

	// Expires is the time when the connection or the subscription ends unless the token is refreshed: the claim expire_at, or else exp.
	// Zero means never.
	Expires time.Time

	// Info is JSON that other clients see: the claim info, or else b64info.
	Info json.RawMessage

	// Channel is the channel that a subscription token allows subscribing to.
	Channel string

	// Client is the connection for which a subscription token is valid. "" means any connection of the user.
	Client string

	// Channels and Subs are the channels that a connection token subscribes the connection to.
	Channels []string
	Subs     map[string]ServerOwned

	// ID is the claim jti, the ID of the token. "" means that the token has no ID.
	ID string

	// Issued is the claim iat. Zero means unknown.
	Issued time.Time

	// Claims are all claims.
	Claims map[string]any
}

// claims are the claims that Centrifugo's protocol defines.
type claims struct {
	Sub      string                 `json:"sub"`
	Exp      *float64               `json:"exp"`
	Nbf      *float64               `json:"nbf"`
	Iat      *float64               `json:"iat"`
	ExpireAt *float64               `json:"expire_at"`
	Info     json.RawMessage        `json:"info"`
	B64Info  []byte                 `json:"b64info"`
	Channel  string                 `json:"channel"`
	Client   string                 `json:"client"`
	Channels []string               `json:"channels"`
	Subs     map[string]ServerOwned `json:"subs"`

	all        map[string]any
	jwt.Claims `json:"-"` // always nil, because the parser does not validate claims
}

// ServerOwned is a subscription that the application creates for a client.
type ServerOwned struct {
	// Info is JSON that other clients see in this channel, instead of the client's Info.
	Info json.RawMessage `json:"info"`

	// Data is JSON for the client.
	Data json.RawMessage `json:"data"`
}

// UnmarshalJSON implements [json.Unmarshaler].
func (c *claims) UnmarshalJSON(data []byte) error {
	type plain claims
	if err := json.Unmarshal(data, (*plain)(c)); err != nil {
		return err
	}
	return json.Unmarshal(data, &c.all)
}

// parser checks signatures with a shared secret. It does not validate claims, because verify validates them and reports expired tokens
// separately.
var parser = jwt.NewParser(jwt.WithValidMethods([]string{"HS256", "HS384", "HS512"}), jwt.WithoutClaimsValidation(), jwt.WithStrictDecoding())

// verify parses a token and checks its signature. Its errors are errExpiredToken and errInvalidToken, and contain no part of the
// token.
func (s *Server) verify(text string) (*Token, error) {
	if len(text) > maxToken || len(s.Secret) == 0 {
		return nil, errInvalidToken
	}
	c := new(claims)
	_, err := parser.ParseWithClaims(text, c, func(t *jwt.Token) (any, error) {
		if _, ok := t.Header["crit"]; ok { // RFC 7515 §4.1.11: no extension is supported
			return nil, errInvalidToken
		}
		return []byte(s.Secret), nil
	})
	now := time.Now()
	if err != nil || len(c.Sub) > maxUser || c.Nbf != nil && now.Before(seconds(*c.Nbf)) {
		return nil, errInvalidToken
	}
	t := &Token{User: c.Sub, Info: c.Info, Channel: c.Channel, Client: c.Client, Channels: c.Channels, Subs: c.Subs, Claims: c.all}
	t.ID, _ = c.all["jti"].(string)
	if c.Iat != nil {
		t.Issued = seconds(*c.Iat)
	}
	if c.Exp != nil {
		t.Expires = seconds(*c.Exp)
		if !now.Before(t.Expires) { // RFC 7519 §4.1.4
			return nil, errExpiredToken
		}
	}
	if c.ExpireAt != nil {
		t.Expires = time.Time{}
		if *c.ExpireAt > 0 {
			t.Expires = seconds(*c.ExpireAt)
		}
	}
	if !t.Expires.IsZero() && !now.Before(t.Expires) {
		return nil, errExpiredToken
	}
	if len(t.Info) == 0 {
		t.Info = c.B64Info
	}
	if len(t.Info) == 0 || string(t.Info) == "null" {
		t.Info = nil
	}
	return t, nil
}

// seconds converts a NumericDate (RFC 7519 §2), within the years that a time can represent.
func seconds(n float64) time.Time {
	const last = 253402214400
	return time.Unix(int64(min(max(n, 0), last)), 0)
}

// secondsUntil returns the time until t in whole seconds, at least one.
func secondsUntil(t time.Time) uint32 {
	return uint32(min(max(1, int64(time.Until(t)/time.Second)), 1<<31)) // min and max limit the value to 1<<31
}
