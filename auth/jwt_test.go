package auth

import (
	"bytes"
	"crypto"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// claims are the claims of a test token; nil removes a default claim.
type claims map[string]any

// signed returns a token. It is alice's and valid for an hour, unless c specifies otherwise.
func signed(t testing.TB, alg string, key any, kid string, c claims) string {
	t.Helper()
	now := time.Now()
	all := jwt.MapClaims{"sub": "alice", "exp": now.Add(time.Hour).Unix()}
	for name, v := range c {
		if all[name] = v; v == nil {
			delete(all, name)
		}
	}
	token := jwt.NewWithClaims(jwt.GetSigningMethod(alg), all)
	if kid != "" {
		token.Header["kid"] = kid
	}
	s, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// forged returns a token with a custom signature.
func forged(header, claims string, sign func(string) []byte) string {
	s := b64([]byte(header)) + "." + b64([]byte(claims))
	return s + "." + b64(sign(s))
}

func newJWT(t testing.TB, o JWTOptions) *JWT {
	t.Helper()
	j, err := NewJWT(o)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func keysOf(t testing.TB, data []byte) KeySource {
	t.Helper()
	k, err := Keys(data)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// withBearer returns a request with a token.
func withBearer(token string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	return r
}

func TestJWTAlgorithms(t *testing.T) {
	k := testKeys()
	private := map[string]any{"HS": k.secret, "RS": k.rsa, "PS": k.rsa, "ES256": k.p256, "ES384": k.p384, "ES512": k.p521, "EdDSA": k.ed}
	keyFor := func(alg string) any {
		if key, ok := private[alg]; ok {
			return key
		}
		return private[alg[:2]]
	}
	all := keysOf(t, jwksOf(t, jwkOf(t, k.secret), jwkOf(t, &k.rsa.PublicKey), jwkOf(t, &k.p256.PublicKey),
		jwkOf(t, &k.p384.PublicKey), jwkOf(t, &k.p521.PublicKey), jwkOf(t, k.ed.Public())))
	every := newJWT(t, JWTOptions{Keys: all})
	for _, alg := range algorithms {
		token := signed(t, alg, keyFor(alg), "", nil)
		if id, err := every.Authenticate(withBearer(token)); err != nil || id.Subject != "alice" || id.Method != "jwt" {
			t.Errorf("%s: %v, %v", alg, id, err)
		}
		for _, other := range algorithms {
			only := newJWT(t, JWTOptions{Keys: all, Algorithms: []string{other}})
			if _, err := only.Authenticate(withBearer(token)); (err == nil) != (alg == other) {
				t.Errorf("%s where only %s is accepted: %v", alg, other, err)
			}
		}
		// A token with a flipped bit in its signature, or with the claims of another token, is rejected.
		parts := strings.Split(token, ".")
		sig, _ := base64.RawURLEncoding.DecodeString(parts[2])
		sig[len(sig)/2] ^= 1
		mallory := b64([]byte(`{"sub":"mallory","exp":4000000000}`))
		for _, bad := range []string{parts[0] + "." + parts[1] + "." + b64(sig), parts[0] + "." + mallory + "." + parts[2], parts[0] + "." + parts[1] + "."} {
			if id, err := every.Verify(t.Context(), bad); err == nil {
				t.Errorf("%s, forged: %v", alg, id)
			}
		}
	}
}

// RFC 8725 §2.1, §3.1: the use of a key depends on the key, not on the token.
func TestRFC8725_3_1_AlgorithmConfusion(t *testing.T) {
	k := testKeys()
	mac := func(secret []byte) func(string) []byte {
		return func(s string) []byte {
			h := hmac.New(sha256.New, secret)
			h.Write([]byte(s))
			return h.Sum(nil)
		}
	}
	const header, body = `{"alg":"HS256","kid":"rsa"}`, `{"sub":"mallory","exp":4000000000}`
	public := pemOf(t, &k.rsa.PublicKey)
	jwk, err := json.Marshal(jwkOf(t, &k.rsa.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	for name, source := range map[string]KeySource{
		"PEM": keysOf(t, public),
		"JWK": keysOf(t, jwksOf(t, jwkOf(t, &k.rsa.PublicKey, "kid", "rsa"))),
		// A public key is never used as a secret, even if the same issuer also has a secret for HS256.
		"both": keysOf(t, jwksOf(t, jwkOf(t, &k.rsa.PublicKey, "kid", "rsa"), jwkOf(t, k.secret, "kid", "hmac"))),
	} {
		j := newJWT(t, JWTOptions{Keys: source})
		for _, secret := range [][]byte{public, bytes.TrimSpace(public), k.rsa.N.Bytes(), jwk, nil} {
			if id, err := j.Verify(t.Context(), forged(header, body, mac(secret))); err == nil {
				t.Errorf("%s: the public key as a secret: %v", name, id)
			}
		}
		for _, alg := range []string{"none", "None", "NONE", "nOnE", "", "RS1", "HS256 ", "ES256K", "RSA-OAEP", "dir"} {
			for _, sign := range []func(string) []byte{func(string) []byte { return nil }, mac(public)} {
				if id, err := j.Verify(t.Context(), forged(fmt.Sprintf(`{"alg":%q}`, alg), body, sign)); err == nil {
					t.Errorf("%s: alg %q: %v", name, alg, id)
				}
			}
		}
	}
	// The same signature is only valid for the algorithm in the "alg" of its key.
	narrow := newJWT(t, JWTOptions{Keys: keysOf(t, jwksOf(t, jwkOf(t, &k.rsa.PublicKey, "alg", "PS256")))})
	if _, err := narrow.Verify(t.Context(), signed(t, "PS256", k.rsa, "", nil)); err != nil {
		t.Error(err)
	}
	if id, err := narrow.Verify(t.Context(), signed(t, "RS256", k.rsa, "", nil)); err == nil {
		t.Errorf("RS256 with a key for PS256: %v", id)
	}
	// A key in the token itself, or at a URL in it (RFC 7515 §4.1.2, §4.1.3), is not trusted.
	for _, h := range []string{`"jwk":` + string(jwk), `"jku":"http://127.0.0.1:1/"`, `"x5u":"http://127.0.0.1:1/"`} {
		token := forged(`{"alg":"RS256",`+h+`}`, body, func(s string) []byte {
			sum := sha256.Sum256([]byte(s))
			sig, err := k.other.Sign(nil, sum[:], crypto.SHA256)
			if err != nil {
				t.Fatal(err)
			}
			return sig
		})
		if id, err := newJWT(t, JWTOptions{Keys: keysOf(t, public)}).Verify(t.Context(), token); err == nil {
			t.Errorf("%s: %v", h, id)
		}
	}
}

func TestJWTClaims(t *testing.T) {
	k := testKeys()
	now := time.Now()
	at := func(d time.Duration) int64 { return now.Add(d).Unix() }
	for _, tt := range []struct {
		name   string
		o      JWTOptions
		claims claims
		want   string // part of the error; "" for none
	}{
		{"all in order", JWTOptions{Issuer: "me", Audience: []string{"x", "chat"}}, claims{"iss": "me", "aud": "chat"}, ""},
		{"expired", JWTOptions{}, claims{"exp": at(-time.Minute)}, "expired"},
		{"expired, within the skew", JWTOptions{}, claims{"exp": at(-20 * time.Second)}, ""},
		{"expired, no skew", JWTOptions{Skew: -1}, claims{"exp": at(-time.Second)}, "expired"},
		{"expired, another skew", JWTOptions{Skew: 2 * time.Minute}, claims{"exp": at(-time.Minute)}, ""},
		{"no exp", JWTOptions{}, claims{"exp": nil}, "no exp"},
		{"no exp, allowed", JWTOptions{AllowNoExpiry: true}, claims{"exp": nil}, ""},
		{"expired, though exp is optional", JWTOptions{AllowNoExpiry: true}, claims{"exp": at(-time.Minute)}, "expired"},
		{"exp 0", JWTOptions{}, claims{"exp": 0}, "expired"},
		{"exp far away", JWTOptions{}, claims{"exp": 1e300}, "exp is not a date"},
		{"exp before all time", JWTOptions{}, claims{"exp": -1e300}, "exp is not a date"},
		{"exp a text", JWTOptions{}, claims{"exp": "2099-01-01"}, "exp is not a number"},
		{"not yet valid", JWTOptions{}, claims{"nbf": at(time.Minute)}, "not valid yet"},
		{"not yet valid, within the skew", JWTOptions{}, claims{"nbf": at(20 * time.Second)}, ""},
		{"nbf a text", JWTOptions{}, claims{"nbf": "x"}, "nbf is not a number"},
		{"iat a list", JWTOptions{}, claims{"iat": []int{1}}, "iat is not a number"},
		{"another issuer", JWTOptions{Issuer: "me"}, claims{"iss": "you"}, `issuer "you", not from "me"`},
		{"no issuer", JWTOptions{Issuer: "me"}, nil, `issuer "", not from "me"`},
		{"the issuer in a list", JWTOptions{Issuer: "me"}, claims{"iss": []string{"me"}}, "issuer"},
		{"another audience", JWTOptions{Audience: []string{"chat"}}, claims{"aud": "mail"}, `["mail"], not for ["chat"]`},
		{"one of a list", JWTOptions{Audience: []string{"chat"}}, claims{"aud": []string{"mail", "chat"}}, ""},
		{"no audience", JWTOptions{Audience: []string{"chat"}}, nil, "not for"},
		{"an audience of numbers", JWTOptions{Audience: []string{"chat"}}, claims{"aud": []any{"chat", 1}}, "aud is not a list"},
		{"an audience that is an object", JWTOptions{Audience: []string{"chat"}}, claims{"aud": claims{}}, "aud is neither"},
		{"an audience, and none configured", JWTOptions{}, claims{"aud": "mail"}, "this service has no configured audience"},
		{"for any client", JWTOptions{AnyAudience: true}, claims{"aud": "mail"}, ""},
		{"no subject", JWTOptions{}, claims{"sub": nil}, "no claim sub"},
		{"an empty subject", JWTOptions{}, claims{"sub": ""}, "not a name"},
		{"a long subject", JWTOptions{}, claims{"sub": strings.Repeat("a", 513)}, "not a name"},
		{"a subject of two lines", JWTOptions{}, claims{"sub": "a\nb"}, "not a name"},
		{"a subject that is a list", JWTOptions{}, claims{"sub": []string{"a"}}, "neither a string"},
		{"a fraction as the subject", JWTOptions{}, claims{"sub": 1.5}, "neither a string"},
		{"another claim that is missing", JWTOptions{SubjectClaim: "email"}, nil, "no claim email"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.o.Keys = keysOf(t, pemOf(t, k.ed.Public()))
			token := signed(t, "EdDSA", k.ed, "", tt.claims)
			id, err := newJWT(t, tt.o).Authenticate(withBearer(token))
			if tt.want == "" {
				if err != nil || id.Subject != "alice" {
					t.Fatalf("%v, %v", id, err)
				}
				return
			}
			var e *Error
			if !errors.As(err, &e) || e.Status != http.StatusUnauthorized || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("%v, %v, want %q", id, err, tt.want)
			}
		})
	}
}

// The handshake and the connection agree on the expiry of a token.
func TestJWTIdentity(t *testing.T) {
	k := testKeys()
	exp, iat := time.Now().Add(time.Minute).Truncate(time.Second), time.Unix(1700000000, 0)
	token := signed(t, "HS512", k.secret, "", claims{"sub": nil, "uid": int64(9007199254740993), "jti": "t-1", "exp": exp.Unix(),
		"iat": iat.Unix(), "nested": claims{"list": []any{1, 2.5, "x", nil}}})
	secret, err := Secret(k.secret)
	if err != nil {
		t.Fatal(err)
	}
	j := newJWT(t, JWTOptions{Keys: secret, SubjectClaim: "uid", Skew: 10 * time.Second})
	id, err := j.Verify(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	want := &Identity{Subject: "9007199254740993", Method: "jwt", ID: "t-1", Issued: iat, Expires: exp.Add(10 * time.Second),
		Claims: map[string]any{"uid": plain(json.Number("9007199254740993")), "jti": "t-1", "exp": int(exp.Unix()), "iat": 1700000000,
			"nested": map[string]any{"list": []any{1, 2.5, "x", nil}}}}
	if !reflect.DeepEqual(id, want) {
		t.Errorf("%+v\nwant\n%+v", id, want)
	}
	j.now = func() time.Time { return id.Expires.Add(-1) }
	if _, err := j.Verify(t.Context(), token); err != nil {
		t.Errorf("just before the expiry: %v", err)
	}
	j.now = func() time.Time { return id.Expires }
	if _, err := j.Verify(t.Context(), token); err == nil {
		t.Error("the token is accepted at its expiry")
	}
}

// Data that is not a token of this issuer is left to other methods; all of it is finally refused, in limited time and memory.
func TestJWTMalformed(t *testing.T) {
	k := testKeys()
	j := newJWT(t, JWTOptions{Keys: keysOf(t, pemOf(t, k.ed.Public())), Issuer: "me"})
	good := signed(t, "EdDSA", k.ed, "", claims{"iss": "me"})
	header := b64([]byte(`{"alg":"EdDSA"}`))
	for _, tt := range []struct {
		name, token string
		foreign     bool
	}{
		{"one part", "abc", true},
		{"two parts", "a.b", true},
		{"five parts, encrypted", "a.b.c.d.e", true},
		{"no base64", "!." + good[strings.Index(good, ".")+1:], true},
		{"no JSON", b64([]byte("x")) + ".e30.AA", true},
		{"empty parts", "..", true},
		{"claims are null", forged(`{"alg":"EdDSA"}`, "null", func(string) []byte { return nil }), true},
		{"claims are a list", forged(`{"alg":"EdDSA"}`, "[]", func(string) []byte { return nil }), true},
		{"header is null", b64([]byte("null")) + ".e30.AA", false},
		{"alg is a number", b64([]byte(`{"alg":1}`)) + ".e30.AA", false},
		{"another issuer", signed(t, "EdDSA", k.ed, "", claims{"iss": "you"}), true},
		{"padded", good + "=", true},
		{"critical extension", forged(`{"alg":"EdDSA","crit":["b64"],"b64":false}`, `{"iss":"me"}`, func(string) []byte { return nil }), false},
		{"no signature", header + "." + b64([]byte(`{"iss":"me","sub":"a","exp":4000000000}`)) + ".", false},
		{"enormous", header + "." + strings.Repeat("A", 17<<10) + ".AA", false},
		{"as many dots", strings.Repeat(".", 16<<10), true},
		{"deep", forged(`{"alg":"EdDSA"}`, strings.Repeat(`{"a":`, 2000)+"1"+strings.Repeat("}", 2000), func(string) []byte { return nil }), true},
	} {
		id, err := j.Verify(t.Context(), tt.token)
		var e *Error
		if !errors.As(err, &e) || e.Status != http.StatusUnauthorized {
			t.Errorf("%s: %v, %v", tt.name, id, err)
			continue
		}
		if errors.Is(err, ErrNoCredentials) != tt.foreign {
			t.Errorf("%s: left to others: %t, want %t (%v)", tt.name, !tt.foreign, tt.foreign, err)
		}
	}
}

// The client gets the same reply whichever part of its token is wrong; the log gets the reason, but no part of the token.
func TestJWTRepliesAreAlike(t *testing.T) {
	k := testKeys()
	j := newJWT(t, JWTOptions{Keys: keysOf(t, jwksOf(t, jwkOf(t, k.ed.Public(), "kid", "a"))), Issuer: "me", Realm: "chat"})
	tokens := map[string]string{
		"unknown key":  signed(t, "EdDSA", k.ed, "b", claims{"iss": "me"}),
		"other key":    signed(t, "RS256", k.other, "a", claims{"iss": "me"}),
		"other issuer": signed(t, "EdDSA", k.ed, "a", claims{"iss": "you"}),
		"expired":      signed(t, "EdDSA", k.ed, "a", claims{"iss": "me", "exp": 1}),
		"no subject":   signed(t, "EdDSA", k.ed, "a", claims{"iss": "me", "sub": nil}),
		"malformed":    "a.b.c",
		"no JWT":       "secret-key",
		"bad form":     "s3cret,really",
	}
	logs := map[string]bool{}
	for name, token := range tokens {
		_, err := j.Authenticate(withBearer(token))
		var e *Error
		if !errors.As(err, &e) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		want := http.Header{"Www-Authenticate": {`Bearer realm="chat", error="invalid_token"`}}
		if e.Status != http.StatusUnauthorized || !reflect.DeepEqual(e.Header, want) || e.Reason != Unauthorized(nil).Reason {
			t.Errorf("%s: the client gets %d %v %q", name, e.Status, e.Header, e.Reason)
		}
		logs[err.Error()] = true
		for part := range strings.SplitSeq(token, ".") {
			if len(part) > 1 && strings.Contains(err.Error(), part) {
				t.Errorf("%s: the log contains %q", name, err)
			}
		}
	}
	if len(logs) < len(tokens)-1 {
		t.Errorf("the log contains only %v", logs)
	}
	if _, err := j.Authenticate(httptest.NewRequest("GET", "/", nil)); err != ErrNoCredentials {
		t.Errorf("without a token: %v", err)
	}
	if got := j.Challenge(); got != `Bearer realm="chat"` {
		t.Errorf("Challenge = %q", got)
	}
}

// A token without a key ID costs a limited number of signature checks.
func TestJWTKeyTrials(t *testing.T) {
	k := testKeys()
	var set []map[string]any
	for range maxKeyTrials {
		set = append(set, jwkOf(t, &k.other.PublicKey))
	}
	token := signed(t, "RS256", k.rsa, "", nil)
	last := append(set[1:maxKeyTrials:maxKeyTrials], jwkOf(t, &k.rsa.PublicKey))
	if _, err := newJWT(t, JWTOptions{Keys: keysOf(t, jwksOf(t, last...))}).Verify(t.Context(), token); err != nil {
		t.Errorf("the last of %d keys: %v", len(last), err)
	}
	beyond := append(set, jwkOf(t, &k.rsa.PublicKey))
	if _, err := newJWT(t, JWTOptions{Keys: keysOf(t, jwksOf(t, beyond...))}).Verify(t.Context(), token); statusOf(err) != 401 {
		t.Errorf("with one more key: %v", err)
	}
}

func TestNewJWTMistakes(t *testing.T) {
	keys := keysOf(t, pemOf(t, testKeys().ed.Public()))
	oidc, err := OIDC("https://id.example.com", FetchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer oidc.Close()
	for want, o := range map[string]JWTOptions{
		"keys are required": {},
		`"none"`:            {Keys: keys, Algorithms: []string{"none"}},
		`"hs256"`:           {Keys: keys, Algorithms: []string{"RS256", "hs256"}},
		"the realm":         {Keys: keys, Realm: `a"b`},
		"the issuer":        {Keys: oidc, Issuer: "https://id.example.com/"},
		"the realm \"é":     {Keys: keys, Realm: "é"},
	} {
		if _, err := NewJWT(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if j := newJWT(t, JWTOptions{Keys: oidc}); j.o.Issuer != "https://id.example.com" {
		t.Errorf("the issuer of OIDC keys is %q", j.o.Issuer)
	}
}

func BenchmarkJWT(b *testing.B) {
	k := testKeys()
	for alg, key := range map[string][2]any{"HS256": {k.secret, k.secret}, "RS256": {k.rsa, &k.rsa.PublicKey},
		"ES256": {k.p256, &k.p256.PublicKey}, "EdDSA": {k.ed, k.ed.Public()}} {
		b.Run(alg, func(b *testing.B) {
			j := newJWT(b, JWTOptions{Keys: keysOf(b, jwksOf(b, jwkOf(b, key[1], "kid", "k"))), Issuer: "me", Audience: []string{"chat"}})
			r := withBearer(signed(b, alg, key[0], "k", claims{"iss": "me", "aud": "chat", "roles": []string{"user"}, "jti": "1"}))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := j.Authenticate(r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
