package auth

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Cookie is a [Source] that finds a token in a cookie.
//
// A browser adds its cookies to every WebSocket that any page opens, so that a page of another site could connect as the user
// (cross-site WebSocket hijacking, CWE-1385). Therefore a request with the cookie must be from a page of one of origins, such as
// "https://app.example.com", according to its Origin field. Origins are compared exactly, without wildcards. The reply to a request
// from another page, or without an origin, is 403, even if the cookie is valid. SameSite=Lax or Strict helps in addition, but
// treats all subdomains as the same site. A name that begins with "__Host-" prevents other subdomains from setting the cookie.
//
// The origins are those of the pages, not of this server. [websocket.AcceptOptions.Origins] must also list the origins other than
// the server's own, because that option is checked first.
//
// The error reports an origin that no browser sends, or an empty list.
func Cookie(name string, origins ...string) (Source, error) {
	if err := checkCookie(name, origins); err != nil {
		return Source{}, err
	}
	origins = slices.Clone(origins)
	return Source{scheme: cookieChallenge(name), find: func(r *http.Request) (string, error) {
		return cookie(r, name, origins)
	}}, nil
}

// SessionCookie passes requests with a session cookie to next, if they are from a page of one of origins (see [Cookie]). It is for
// methods that ask a service about the cookie, such as forward auth. A request without the cookie has no credentials, and next is
// not called.
//
// The error reports an origin that no browser sends, or an empty list.
func SessionCookie(name string, origins []string, next Authenticator) (Authenticator, error) {
	source, err := Cookie(name, origins...)
	if err != nil {
		return nil, err
	}
	return &session{source: source, next: next}, nil
}

type session struct {
	source Source
	next   Authenticator
}

// Authenticate implements [Authenticator].
func (s *session) Authenticate(r *http.Request) (*Identity, error) {
	if _, err := s.source.Token(r); err != nil {
		return nil, err
	}
	return s.next.Authenticate(r)
}

// Challenge implements [Authenticator].
func (s *session) Challenge() string {
	if c := s.next.Challenge(); c != "" {
		return c
	}
	return s.source.scheme
}

// Close closes next, if next has a Close method.
func (s *session) Close() error {
	if c, ok := s.next.(interface{ Close() error }); ok {
		return c.Close()
	}
	return nil
}

// cookieChallenge is the challenge for a cookie. RFC 9110 §15.5.2 requires a challenge in every 401, but no scheme for cookies was
// ever registered; this challenge is from an expired draft (draft-broyer-http-cookie-auth), and clients that do not know its scheme
// ignore it.
func cookieChallenge(name string) string { return `Cookie cookie-name="` + name + `"` }

// cookie returns the value of the cookie, if the request is from a page of one of origins.
func cookie(r *http.Request, name string, origins []string) (string, error) {
	found := r.CookiesNamed(name)
	if len(found) == 0 {
		return "", ErrNoCredentials
	}
	// RFC 6454 §7.3: a browser sends one Origin field. RFC 6455 §10.2 describes this use of it.
	switch lines := r.Header["Origin"]; {
	case len(lines) == 0:
		return "", Forbidden(fmt.Errorf("the request has the cookie %s but no Origin header, so no web page sent it", name))
	case len(lines) > 1 || !slices.Contains(origins, lines[0]):
		return "", Forbidden(fmt.Errorf("the request has the cookie %s and comes from the origin %.200q, which is not allowed", name, lines))
	}
	switch {
	case len(found) > 1: // a subdomain may have set one of the cookies
		return "", errTwoTokens
	case found[0].Value == "":
		return "", errEmptyToken
	}
	return found[0].Value, nil
}

// checkCookie validates the operator's settings.
func checkCookie(name string, origins []string) error {
	if (&http.Cookie{Name: name, Value: "x"}).Valid() != nil {
		return fmt.Errorf("auth: %q cannot be the name of a cookie", name)
	}
	if len(origins) == 0 {
		return errors.New("auth: cookies require a list of allowed origins; without it, a page of any site could use the cookies of its visitors")
	}
	for _, o := range origins {
		if want, err := checkOrigin(o); err != nil {
			return fmt.Errorf("auth: origin %q: %w", o, err)
		} else if want != o {
			return fmt.Errorf("auth: origin %q: browsers write it %q", o, want)
		}
	}
	return nil
}

// checkOrigin returns an origin as browsers write it (RFC 6454 §6.2): in lower case, without the default port of the scheme.
func checkOrigin(s string) (string, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return "", errors.New("not of the form https://example.com")
	case s == "null":
		return "", errors.New("all sandboxed pages share this origin")
	case u.Scheme == "" || u.Host == "" || u.Opaque != "":
		return "", errors.New("not of the form https://example.com")
	case strings.Contains(s, "*"):
		return "", errors.New("wildcards are not supported: origins are compared exactly")
	case strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c > '~' }):
		return "", errors.New("browsers write names in ASCII, such as xn--bcher-kva.example")
	}
	host := strings.ToLower(u.Host)
	if u.Scheme == "https" {
		host = strings.TrimSuffix(host, ":443")
	} else if u.Scheme == "http" {
		host = strings.TrimSuffix(host, ":80")
	}
	return strings.ToLower(u.Scheme) + "://" + host, nil
}
