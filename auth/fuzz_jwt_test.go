package auth

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"
)

// Any token from a client without a key is rejected according to the contract, and the error contains no part of the token except
// names. Whatever claims the issuer signs, an identity has a subject and an expiry.
func FuzzJWT(f *testing.F) {
	k := testKeys()
	keys, err := Keys(jwksOf(f, jwkOf(f, &k.p256.PublicKey, "kid", "a"), jwkOf(f, &k.rsa.PublicKey, "kid", "b"), jwkOf(f, k.secret, "kid", "c")))
	if err != nil {
		f.Fatal(err)
	}
	j, err := NewJWT(JWTOptions{Keys: keys, Issuer: "me", Audience: []string{"chat"}})
	if err != nil {
		f.Fatal(err)
	}
	const claims = `{"iss":"me","aud":["chat"],"sub":"alice","exp":4000000000,"nbf":1,"iat":1.5,"jti":"x"}`
	f.Add(`{"alg":"HS256","kid":"c"}`, claims, []byte("signature"))
	f.Add(`{"alg":"none"}`, claims, []byte(nil))
	f.Add(`{"alg":"ES256","kid":"a","crit":["exp"]}`, `{"iss":"me","exp":1e999}`, make([]byte, 64))
	f.Add(`{"alg":"RS256","kid":["b"]}`, `{"iss":["me"],"sub":1e2,"aud":{}}`, make([]byte, 256))
	f.Add(`null`, `[]`, []byte("."))
	f.Fuzz(func(t *testing.T, header, claims string, signature []byte) {
		head := b64([]byte(header)) + "." + b64([]byte(claims))
		for _, token := range []string{head + "." + b64(signature), head, header, claims + "." + header + "." + string(signature)} {
			id, err := j.Verify(t.Context(), token)
			e, ok := errors.AsType[*Error](err)
			if id != nil || !ok || e.Status != http.StatusUnauthorized {
				t.Fatalf("%q without a key: %v, %v", token, id, err)
			}
			if s := b64(signature); len(s) > 20 && strings.Contains(err.Error(), s) {
				t.Errorf("%v contains the signature", err)
			}
		}
		sum, err := jwt.SigningMethodHS256.Sign(head, k.secret)
		if err != nil {
			t.Fatal(err)
		}
		id, err := j.Verify(t.Context(), head+"."+b64(sum))
		switch {
		case err != nil && statusOf(err) != http.StatusUnauthorized:
			t.Errorf("%q: %v", head, err)
		case err == nil && (id.Subject == "" || id.Method != "jwt" || id.Claims["iss"] != "me" || !j.now().Before(id.Expires)):
			t.Errorf("%q: %+v", head, id)
		}
	})
}
