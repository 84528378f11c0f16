package pusher

import (
	"crypto/hmac"
	"crypto/md5" // the protocol requires MD5, and the HMAC covers the hash
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	maxSkew  = 600 * time.Second // the maximum difference between the clocks of the caller and of this server
	maxQuery = 4096              // the maximum length of a query in bytes
)

// authenticate parses a call and checks its signature.
func (s *Server) authenticate(w http.ResponseWriter, r *http.Request) (*call, error) {
	c := &call{Request: r, server: s}
	i := slices.IndexFunc(s.Apps, func(a App) bool { return a.ID == r.PathValue("app") })
	if i < 0 {
		return nil, apiError{http.StatusNotFound, "There is no application with this ID."}
	}
	c.app = s.Apps[i]
	if len(r.URL.RawQuery) > maxQuery {
		return nil, badRequest("The query is longer than %d bytes.", maxQuery)
	}
	q := queryOf(r.URL.RawQuery)
	if err := c.checkQuery(q); err != nil {
		return nil, err
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, s.maxBody()))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, apiError{http.StatusRequestEntityTooLarge, fmt.Sprintf("The body is larger than %d bytes.", s.maxBody())}
	}
	if err != nil {
		return nil, badRequest("The body cannot be read.")
	}
	c.body = body
	sum := md5.Sum(body) // the protocol requires MD5
	given, has := q.get("body_md5")
	if (has || len(body) > 0) && !hmac.Equal([]byte(strings.ToLower(given)), []byte(hex.EncodeToString(sum[:]))) {
		return nil, apiError{http.StatusUnauthorized, "body_md5 is not the MD5 of the body, in hexadecimal."}
	}
	if c.app.Disabled {
		return nil, apiError{http.StatusForbidden, "The application is disabled."}
	}
	return c, nil
}

// maxBody returns the maximum size of a body: that of a batch, whose data grows when it is encoded.
func (s *Server) maxBody() int64 { return int64(maxBatch*2*s.maxData() + 64<<10) }

// checkQuery checks the parameters that authenticate a call, except for body_md5.
func (c *call) checkQuery(q query) error {
	no := func(format string, args ...any) error {
		return apiError{http.StatusUnauthorized, fmt.Sprintf(format, args...)}
	}
	for _, name := range []string{"auth_key", "auth_timestamp", "auth_version", "auth_signature"} {
		if v, _ := q.get(name); v == "" {
			return no("The parameter %s is missing.", name)
		}
	}
	if v, _ := q.get("auth_version"); v != "1.0" {
		return no("The auth_version is not supported; only 1.0 is.")
	}
	if key, _ := q.get("auth_key"); key != c.app.Key {
		return no("The auth_key does not belong to the application.")
	}
	// The path is signed in the form in which the caller has sent it, or without its escapes.
	signature, _ := q.get("auth_signature")
	signed := false
	for _, path := range []string{c.URL.EscapedPath(), c.URL.Path} {
		for _, raw := range []bool{false, true} {
			signed = c.app.signed(c.Method+"\n"+path+"\n"+q.text(raw), signature) || signed
		}
	}
	if !signed {
		return no("The auth_signature is not valid: it is HMAC-SHA256, in hexadecimal, of %q with the secret of the application.",
			c.Method+"\n"+c.URL.EscapedPath()+"\n"+q.text(false))
	}
	text, _ := q.get("auth_timestamp")
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return no("The auth_timestamp is not a number of seconds.")
	}
	if now := time.Now(); seconds < now.Add(-maxSkew).Unix() || seconds > now.Add(maxSkew).Unix() {
		return no("The auth_timestamp is not within %d s of the server's time, %d: set the clock, or sign the call again.",
			int(maxSkew.Seconds()), now.Unix())
	}
	return nil
}

// query contains the parameters of a query, sorted by name.
type query []parameter

type parameter struct{ name, raw, value string }

// queryOf parses a query. It accepts any text, because callers may or may not escape values.
func queryOf(text string) query {
	var q query
	for pair := range strings.SplitSeq(text, "&") {
		if pair == "" {
			continue
		}
		name, raw, _ := strings.Cut(pair, "=")
		if plain, err := url.QueryUnescape(name); err == nil {
			name = plain
		}
		value, err := url.QueryUnescape(raw)
		if err != nil {
			value = raw
		}
		q = append(q, parameter{strings.ToLower(name), raw, value})
	}
	slices.SortStableFunc(q, func(a, b parameter) int { return strings.Compare(a.name, b.name) })
	return q
}

// get returns the first value of a parameter.
func (q query) get(name string) (string, bool) {
	for _, p := range q {
		if p.name == name {
			return p.value, true
		}
	}
	return "", false
}

// text returns the signed text of a query: all parameters except for the signature. With raw, values are in the form in which they
// were sent.
func (q query) text(raw bool) string {
	var parts []string
	for _, p := range q {
		if p.name == "auth_signature" {
			continue
		}
		value := p.value
		if raw {
			value = p.raw
		}
		parts = append(parts, p.name+"="+value)
	}
	return strings.Join(parts, "&")
}
