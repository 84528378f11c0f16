package proxy

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"sync"
)

// Sticky sends clients back to the server that they were on, by means of a cookie. The cookie is a keyed hash of the server's ID:
// it does not reveal the server, and without the secret it cannot be forged for another server. All balancers with the same secret
// accept it. Its methods may be called concurrently.
type Sticky struct {
	name   string
	secret []byte
	known  sync.Map // from IDs to values; there are few servers
}

// NewSticky returns a Sticky for a cookie with this name. It keeps secret.
func NewSticky(name string, secret []byte) *Sticky { return &Sticky{name: name, secret: secret} }

// value returns the cookie's value for a server.
func (s *Sticky) value(id string) string {
	if v, ok := s.known.Load(id); ok {
		return v.(string)
	}
	m := hmac.New(sha256.New, s.secret)
	m.Write([]byte("server "))
	m.Write([]byte(id))
	v := base64.RawURLEncoding.EncodeToString(m.Sum(nil)[:18])
	s.known.Store(id, v)
	return v
}

// Shown returns the value of the client's cookie, or "" if it has none.
func (s *Sticky) Shown(r *http.Request) string {
	c, err := r.Cookie(s.name)
	if err != nil {
		return ""
	}
	return c.Value
}

// Is reports whether a cookie's value is for the server with this ID.
func (s *Sticky) Is(value, id string) bool {
	return value != "" && hmac.Equal([]byte(value), []byte(s.value(id)))
}

// Cookie returns the cookie for a client of the server with this ID. It lasts as long as the browser's session.
func (s *Sticky) Cookie(id string, secure bool) *http.Cookie {
	c := &http.Cookie{Name: s.name, Value: s.value(id), Path: "/", HttpOnly: true, Secure: secure, SameSite: http.SameSiteLaxMode}
	if secure {
		c.SameSite = http.SameSiteNoneMode // so that pages of other sites send the cookie, too, if the endpoint admits their origins
	}
	return c
}

// set adds the cookie of the server with this ID to a response, unless the client already has it. If s is nil, set does nothing.
func (s *Sticky) set(h http.Header, r *Request, id string) {
	if s != nil && !s.Is(s.Shown(r.Request), id) {
		h.Add("Set-Cookie", s.Cookie(id, r.TLS != nil).String())
	}
}
