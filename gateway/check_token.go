package gateway

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/handfast/handfast/auth"
	"github.com/handfast/handfast/config"
	"github.com/handfast/handfast/internal/redact"
)

// TokenVerdict is the decision of an endpoint about a token. It does not contain the token.
type TokenVerdict struct {
	Endpoint string         `json:"endpoint"` // the endpoint's name
	Path     string         `json:"path"`
	Accepted bool           `json:"accepted"`             // a client that sends the token as SentAs is admitted
	SentAs   string         `json:"sent_as,omitempty"`    // the place of the token in the request, such as "Authorization: Bearer TOKEN"
	Status   int            `json:"status,omitempty"`     // the status of the reply; 0 if the token is accepted, or no method takes tokens
	Reason   string         `json:"reason,omitempty"`     // the reason why the token is not accepted, for the operator
	Rule     string         `json:"rule,omitempty"`       // the rule that decided, if the rules were evaluated
	Method   string         `json:"method,omitempty"`     // the method that accepted the token, such as "jwt"
	User     string         `json:"user,omitempty"`       // the subject
	ID       string         `json:"credential,omitempty"` // the credential ID by which the token can be revoked
	Claims   map[string]any `json:"claims,omitempty"`     // as rules see them
	Issued   time.Time      `json:"issued,omitzero"`
	Expires  time.Time      `json:"expires,omitzero"` // zero means never
}

// tokenPlace is a part of the request that can contain a token.
type tokenPlace struct {
	description string
	set         func(r *http.Request, token string)
}

func inHeader(name, prefix string) tokenPlace {
	return tokenPlace{name + ": " + prefix + "TOKEN", func(r *http.Request, token string) { r.Header.Set(name, prefix+token) }}
}

func inQuery(name string) tokenPlace {
	return tokenPlace{"?" + name + "=TOKEN", func(r *http.Request, token string) { r.URL.RawQuery = url.Values{name: {token}}.Encode() }}
}

// placesOf returns the places where a method looks for tokens, or nil if the method uses other credentials.
func placesOf(m *config.Method) (places []tokenPlace) {
	switch {
	case m.JWT != nil:
		for _, from := range m.JWT.From {
			places = append(places, placeFrom(from))
		}
	case m.APIKey != nil:
		if m.APIKey.Header != "" {
			places = append(places, inHeader(m.APIKey.Header, ""))
		}
		if m.APIKey.Bearer {
			places = append(places, inHeader("Authorization", "Bearer "))
		}
		if m.APIKey.Query != "" {
			places = append(places, inQuery(m.APIKey.Query))
		}
	case m.Cookie != nil:
		at := inHeader("Cookie", m.Cookie.Name+"=")
		places = append(places, tokenPlace{at.description, func(r *http.Request, token string) {
			at.set(r, token)
			r.Header.Set("Origin", string(m.Cookie.Origins[0])) // the setting requires at least one origin
		}})
	case m.Forward != nil:
		places = append(places, inHeader("Authorization", "Bearer "))
	}
	return places
}

func placeFrom(from config.TokenSource) tokenPlace {
	const offered = "Sec-WebSocket-Protocol"
	switch from.Kind {
	case "header":
		return inHeader(from.Name, "")
	case "query":
		return inQuery(from.Name)
	case "subprotocol":
		if from.Name == "" {
			return inHeader(offered, plainPrefix)
		}
		return inHeader(offered, from.Name)
	case "kubernetes":
		return tokenPlace{offered + ": " + redact.KubernetesPrefix + "TOKEN in base64url", func(r *http.Request, token string) {
			r.Header.Set(offered, redact.KubernetesPrefix+base64.RawURLEncoding.EncodeToString([]byte(token)))
		}}
	}
	return inHeader("Authorization", "Bearer ")
}

// CheckToken returns the decisions of the endpoints of cfg about a token, in the order of the configuration, as a server would make them in
// the handshake. name selects the endpoints with that name or path; "" means all. Methods that depend on another service call that service,
// within ctx. Revocations are not checked, because only the store of a running server contains them.
func CheckToken(ctx context.Context, cfg *config.Config, name, token string) ([]TokenVerdict, error) {
	s, filled := serverForCheck(cfg)
	defer func() {
		s.Close()
		s.finish()
	}()
	if err := s.prepare(filled); err != nil {
		return nil, err
	}
	var verdicts []TokenVerdict
	for _, e := range s.site.Load().endpoints {
		plain := strings.Trim(name, "/") // in the form in which the server's banner shows it
		if name == "" || name == e.cfg.Name || name == e.cfg.Path || plain != "" && plain == strings.Trim(e.cfg.Name, "/") {
			verdicts = append(verdicts, e.checkToken(ctx, filled, token))
		}
	}
	return verdicts, nil
}

// checkToken returns the decision of the endpoint about a token in the first place where it is accepted. If there is no such place,
// checkToken returns the decision for the first place where the token identifies a user, or else for the first place.
func (e *endpoint) checkToken(ctx context.Context, cfg *config.Config, token string) TokenVerdict {
	best := TokenVerdict{Endpoint: e.cfg.Name, Path: e.cfg.Path, Reason: "no method of this endpoint takes a token"}
	if e.skipsAuth {
		best.Reason += ": clients without a credential are admitted"
	}
	asked := map[string]bool{}
	for _, ref := range e.cfg.Auth {
		m := ref.Method
		if m == nil {
			m = cfg.Auth[ref.Name]
		}
		if m == nil {
			continue // the anonymous method
		}
		for _, at := range placesOf(m) {
			if asked[at.description] {
				continue
			}
			asked[at.description] = true
			v := e.checkTokenAt(ctx, at, token)
			if v.Accepted {
				return v
			}
			if best.SentAs == "" || best.User == "" && v.User != "" {
				best = v
			}
		}
	}
	return best
}

// checkTokenAt returns the decision of the endpoint about a token in one place.
func (e *endpoint) checkTokenAt(ctx context.Context, at tokenPlace, token string) TokenVerdict {
	v := TokenVerdict{Endpoint: e.cfg.Name, Path: e.cfg.Path, SentAs: at.description}
	ctx, cancel := context.WithTimeout(ctx, authTimeout)
	defer cancel()
	local := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	r := &http.Request{
		Method: http.MethodGet, URL: &url.URL{Path: e.cfg.Path}, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{}, Host: "localhost", RemoteAddr: netip.AddrPortFrom(local, 0).String(),
	}
	at.set(r, token)
	id, err := e.authenticate(r.WithContext(context.WithValue(ctx, viaKey{}, &via{client: local, site: e.adm.site()})))
	if err == nil && id.Method == config.Anonymous {
		err = auth.Unauthorized(errors.New("the token is not a credential that this endpoint knows; the client is admitted as anonymous"), "")
	}
	if err == nil {
		v.Method, v.User, v.ID, v.Claims, v.Issued, v.Expires = id.Method, id.Subject, id.ID, id.Claims, id.Issued, id.Expires
		var d auth.Decision
		d, err = e.rules.Authorize(id, auth.Action{Do: "connect", Endpoint: e.cfg.Name})
		v.Rule = d.Reason
	}
	if err == nil {
		v.Accepted = true
		return v
	}
	v.Status = http.StatusUnauthorized
	if refused, ok := errors.AsType[*auth.Error](err); ok {
		v.Status = refused.Status
	}
	v.Reason = strings.ReplaceAll(strings.TrimPrefix(err.Error(), "auth: "), token, redact.Mark)
	return v
}
