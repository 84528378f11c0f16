package centrifugo

import (
	"context"
	"encoding/base64"
	"errors"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// A parsed token has the values of its claims, and an invalid token has no values.
func TestVerify(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // the fake clock starts at a whole second
		s, now := &Server{Secret: "secret"}, time.Now()
		at := func(d time.Duration) (int64, time.Time) { return now.Add(d).Unix(), now.Add(d) }
		issued, issuedAt := at(-time.Minute)
		later, laterAt := at(time.Hour)
		hour, hourAt := at(2 * time.Hour)
		for name, c := range map[string]struct {
			claims jwt.MapClaims
			want   Token
			err    error
		}{
			"all": {jwt.MapClaims{"sub": "ann", "exp": later, "iat": issued, "nbf": issued, "jti": "id", "info": map[string]any{"a": 1}, "channel": "c",
				"client": "x", "channels": []string{"d"}, "subs": map[string]any{"e": map[string]any{"info": 1, "data": 2}}}, Token{
				User: "ann", Expires: laterAt, Issued: issuedAt, ID: "id", Info: []byte(`{"a":1}`), Channel: "c", Client: "x", Channels: []string{"d"},
				Subs: map[string]ServerOwned{"e": {Info: []byte("1"), Data: []byte("2")}}}, nil},
			"none":                           {jwt.MapClaims{}, Token{}, nil},
			"info in base64":                 {jwt.MapClaims{"b64info": []byte(`"b"`)}, Token{Info: []byte(`"b"`)}, nil},
			"info in both":                   {jwt.MapClaims{"info": 1, "b64info": []byte("2")}, Token{Info: []byte("1")}, nil},
			"no info":                        {jwt.MapClaims{"info": nil}, Token{}, nil},
			"expires later than it is valid": {jwt.MapClaims{"exp": later, "expire_at": hour}, Token{Expires: hourAt}, nil},
			"never expires":                  {jwt.MapClaims{"exp": later, "expire_at": 0}, Token{}, nil},
			"expired":                        {jwt.MapClaims{"exp": now.Unix()}, Token{}, errExpiredToken},
			"the connection is expired":      {jwt.MapClaims{"expire_at": now.Unix()}, Token{}, errExpiredToken},
			"not valid yet":                  {jwt.MapClaims{"nbf": now.Unix() + 1}, Token{}, errInvalidToken},
			"valid from now on":              {jwt.MapClaims{"nbf": now.Unix()}, Token{}, nil},
			"a user that is a number":        {jwt.MapClaims{"sub": 1}, Token{}, errInvalidToken},
			"the longest user":               {jwt.MapClaims{"sub": strings.Repeat("x", maxUser)}, Token{User: strings.Repeat("x", maxUser)}, nil},
			"a longer user":                  {jwt.MapClaims{"sub": strings.Repeat("x", maxUser+1)}, Token{}, errInvalidToken},
		} {
			got, err := s.verify(token(t, "secret", c.claims))
			if !errors.Is(err, c.err) || c.err == nil && err != nil || (got == nil) != (c.err != nil) {
				t.Errorf("%s: %v", name, err)
			}
			if got == nil {
				continue
			}
			if len(got.Claims) != len(c.claims) {
				t.Errorf("%s: claims %v", name, got.Claims)
			}
			if got.Claims = nil; !reflect.DeepEqual(*got, c.want) {
				t.Errorf("%s: %+v", name, got)
			}
		}
	})
}

// A token is not valid if it requires an extension or is too long, or if the server has no secret.
func TestUnacceptableTokens(t *testing.T) {
	s := &Server{Secret: "secret"}
	with := func(header map[string]any, claims jwt.MapClaims, secret string) string {
		j := jwt.NewWithClaims(jwt.SigningMethodHS256, claims)
		for k, v := range header {
			j.Header[k] = v
		}
		text, err := j.SignedString([]byte(secret))
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	if _, err := s.verify(with(nil, nil, "secret")); err != nil {
		t.Error(err)
	}
	if _, err := s.verify(with(map[string]any{"crit": []string{"exp"}}, nil, "secret")); !errors.Is(err, errInvalidToken) {
		t.Error(err)
	}
	if _, err := (&Server{}).verify(with(nil, nil, "")); !errors.Is(err, errInvalidToken) {
		t.Error(err)
	}
	for bytes, want := range map[int]error{maxToken: nil, maxToken + 4: errInvalidToken} {
		text := with(nil, jwt.MapClaims{"x": ""}, "secret")
		pad := base64.RawURLEncoding.DecodedLen(bytes - len(text))
		text = with(nil, jwt.MapClaims{"x": strings.Repeat("x", pad)}, "secret")
		if _, err := s.verify(text); len(text) < bytes-4 || len(text) > bytes+4 || len(text) <= maxToken && want == nil && err != nil || want != nil && !errors.Is(err, want) {
			t.Errorf("%d bytes: %v", len(text), err)
		}
	}
}

// A caller gets the application's response, and its errors unchanged.
func TestRPC(t *testing.T) {
	s := newServer(t)
	s.RPC = func(_ context.Context, c Caller, method string, data []byte) ([]byte, error) {
		switch method {
		case "echo":
			return append([]byte(c.User+" "), data...), nil
		case "broken":
			return nil, errors.New("no route to the application")
		}
		e := &RPCError{Code: 400, Message: "not found", Temporary: true}
		switch method {
		case "last":
			e.Code = 1999
		case "low":
			e.Code = 399
		case "high":
			e.Code = 2000
		}
		return nil, e
	}
	p := dial(t, serve(t, s, Client{User: "ann"}, false), asJSON)
	p.send(`{"id":1,"connect":{}}`)
	p.read()
	for method, want := range map[string]string{
		"echo":   `"rpc":{"data":"ann 5"}`,
		"broken": `"error":{"code":100,"message":"internal server error","temporary":true}`,
		"first":  `"error":{"code":400,"message":"not found","temporary":true}`,
		"last":   `"error":{"code":1999,"message":"not found","temporary":true}`,
		"low":    `"error":{"code":100,"message":"internal server error","temporary":true}`,
		"high":   `"error":{"code":100,"message":"internal server error","temporary":true}`,
	} {
		p.send(`{"id":2,"rpc":{"method":"` + method + `","data":5}}`)
		if got := p.read(); !matchesPattern(got, `{"id":2,`+want+`}`) {
			t.Errorf("%s: %s", method, got)
		}
	}
}
