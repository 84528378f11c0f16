package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	forwardMaxBody  = 16 << 10 // maximum number of bytes read from a response
	forwardMaxRetry = time.Minute

	forwardMaxChallenge = 2048 // bytes
)

var (
	errForwardExpired     = errors.New("the auth service's approval has expired")
	errForwardBreakerOpen = errors.New("the auth service has failed repeatedly, so requests to it are paused")
	errForwardNoSubject   = errors.New("the auth service approved the request without naming exactly one user")
)

// call calls the service, unless the limit of concurrent calls or the circuit breaker prevents it.
func (f *Forward) call(ctx context.Context, request http.Header) (forwardResult, time.Duration, error) {
	if err := f.calls.Begin(ctx); err != nil {
		return forwardResult{}, 0, Unavailable(f.o.Wait, fmt.Errorf("asking the auth service: %w", err))
	}
	defer f.calls.End()
	done, wait := f.breaker.Begin() // only after the wait for a slot, because the service may have failed in the meantime
	if wait > 0 {
		return forwardResult{}, 0, Unavailable(wait, errForwardBreakerOpen)
	}
	alive := false
	defer func() { done(alive) }()
	ctx, cancel := context.WithTimeout(ctx, f.o.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.o.URL, nil)
	if err != nil {
		return forwardResult{}, 0, Unavailable(f.o.Pause, errors.New("the auth service's URL is not valid"))
	}
	req.Header = request.Clone()
	resp, err := f.client.Do(req)
	if err != nil {
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err // the error without the URL
		}
		return forwardResult{}, 0, Unavailable(time.Second, fmt.Errorf("asking the auth service: %w", err))
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, forwardMaxBody+1))
	if err != nil {
		return forwardResult{}, 0, Unavailable(time.Second, fmt.Errorf("reading the auth service's response: %w", err))
	}
	alive = resp.StatusCode < 500
	return f.result(resp, body)
}

// result returns the result for the service's response, and how long it is valid.
func (f *Forward) result(resp *http.Response, body []byte) (forwardResult, time.Duration, error) {
	cause := fmt.Errorf("the auth service answered with status %d", resp.StatusCode)
	switch status := resp.StatusCode; {
	case status >= 200 && status < 300:
		id, err := f.identity(resp.Header, body)
		if err != nil {
			return forwardResult{}, 0, Unavailable(time.Second, err)
		}
		ttl := f.ttl(resp.Header)
		if !id.Expires.IsZero() {
			ttl = min(ttl, time.Until(id.Expires))
		}
		return forwardResult{id: id}, ttl, nil
	case status == http.StatusForbidden:
		return forwardResult{refusal: Forbidden(cause)}, f.o.DenyTTL, nil
	case status == http.StatusUnauthorized, status >= 300 && status < 400: // a redirect leads to a login page
		e := Unauthorized(cause, f.o.Challenge)
		if values := resp.Header.Values("WWW-Authenticate"); len(values) > 0 && len(strings.Join(values, "")) <= forwardMaxChallenge {
			e.Header = http.Header{"Www-Authenticate": values}
		}
		return forwardResult{refusal: e}, f.o.DenyTTL, nil
	case status == http.StatusTooManyRequests:
		return forwardResult{}, 0, TooMany(retryAfter(resp.Header), cause)
	}
	return forwardResult{}, 0, Unavailable(retryAfter(resp.Header), cause)
}

// retryAfter returns the Retry-After of the service, within limits.
func retryAfter(h http.Header) time.Duration {
	n, err := strconv.Atoi(h.Get("Retry-After"))
	if err != nil {
		return time.Second
	}
	return min(max(time.Duration(n)*time.Second, time.Second), forwardMaxRetry)
}

// ttl returns how long a positive response may be cached (RFC 9111 §5.2.2).
func (f *Forward) ttl(h http.Header) time.Duration {
	ttl := f.o.TTL
	for directive := range strings.SplitSeq(strings.Join(h.Values("Cache-Control"), ","), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		switch strings.ToLower(name) {
		case "no-store", "no-cache":
			return 0
		case "max-age":
			n, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 31)
			if err != nil {
				return 0 // RFC 9111 §4.2.1: a value that cannot be parsed counts as stale
			}
			ttl = min(time.Duration(n)*time.Second, f.o.MaxTTL)
		}
	}
	return ttl
}

// forwardBody is a JSON response.
type forwardBody struct {
	Subject string         `json:"subject"`
	Claims  map[string]any `json:"claims"`
	ID      string         `json:"id"`
	Issued  forwardTime    `json:"issued"`
	Expires forwardTime    `json:"expires"`
}

// forwardTime is a time as an RFC 3339 string or in seconds since 1970.
type forwardTime struct{ time.Time }

// UnmarshalJSON implements [json.Unmarshaler].
func (t *forwardTime) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		return json.Unmarshal(b, &t.Time)
	}
	var seconds float64
	if err := json.Unmarshal(b, &seconds); err != nil || seconds < 0 || seconds > 1<<40 {
		return errors.New("want a time as an RFC 3339 string or in seconds since 1970")
	}
	if seconds > 0 {
		t.Time = time.Unix(int64(seconds), 0)
	}
	return nil
}

// identity returns the identity in a positive response: from the body if it is JSON, otherwise from fields.
func (f *Forward) identity(h http.Header, body []byte) (*Identity, error) {
	id := &Identity{Method: "forward", Claims: map[string]any{}, Issued: time.Now()}
	if kind, _, err := mime.ParseMediaType(h.Get("Content-Type")); err == nil && kind == "application/json" {
		if len(body) > forwardMaxBody {
			return nil, fmt.Errorf("the auth service's response is longer than %d bytes", forwardMaxBody)
		}
		var b forwardBody
		if err := decodeClaims(body, &b); err != nil {
			return nil, errors.New("the auth service's response is not valid JSON of the expected form") // the error might quote a secret
		}
		id.Subject, id.ID, id.Expires = b.Subject, b.ID, b.Expires.Time
		if b.Claims != nil {
			id.Claims = plainClaims(b.Claims)
		}
		if !b.Issued.IsZero() {
			id.Issued = b.Issued.Time
		}
	}
	for _, name := range f.o.SubjectHeaders {
		if id.Subject != "" {
			break
		}
		values := h.Values(name)
		if len(values) > 1 { // it is not clear which value is meant
			return nil, errForwardNoSubject
		}
		id.Subject = strings.TrimSpace(strings.Join(values, ""))
	}
	for _, c := range f.o.Claims {
		value := strings.TrimSpace(strings.Join(h.Values(c.Header), ","))
		if _, ok := id.Claims[c.Claim]; ok || value == "" {
			continue
		}
		if id.Claims[c.Claim] = value; c.List {
			id.Claims[c.Claim] = claimList(splitList(value))
		}
	}
	if id.Subject == "" {
		id.Subject = f.o.DefaultSubject
	}
	if !validSubject(id.Subject, maxSubject) {
		return nil, errForwardNoSubject
	}
	if id.Expires.IsZero() && f.o.Lifetime > 0 {
		id.Expires = id.Issued.Add(f.o.Lifetime)
	}
	return id, nil
}

// splitList returns the values between commas, without surrounding spaces.
func splitList(s string) []string {
	var list []string
	for part := range strings.SplitSeq(s, ",") {
		if part = strings.TrimSpace(part); part != "" {
			list = append(list, part)
		}
	}
	return list
}
