package auth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// SignerOptions configure a [Signer]. One of Secret and PrivateKey is required.
type SignerOptions struct {
	// Secret is shared with the verifiers of the tokens, for HS256: 32 bytes or more. The verifiers can also issue such tokens. The
	// slice is copied.
	Secret []byte

	// PrivateKey is a key in PEM, for EdDSA (Ed25519), ES256 (ECDSA with P-256) or RS256 (RSA, 2048 bits or more). Verifiers need
	// only the public key. NewSigner does not keep the slice.
	PrivateKey []byte

	// Issuer is the iss claim. If empty, the tokens have none.
	Issuer string

	// TTL is how long a token is valid. 0 means 30 seconds.
	TTL time.Duration

	// Claims are the names of the claims that are copied from the identity to the tokens, if present. It is an error to list a
	// claim that a Signer itself sets. The slice is copied.
	Claims []string
}

// Signer certifies a client's identity to another server, with tokens that a [JWT] accepts. It may be used by multiple goroutines
// concurrently.
type Signer struct {
	o      SignerOptions
	method jwt.SigningMethod
	key    any
	now    func() time.Time
}

// maxSigned limits a token in bytes: it has to fit into the header of a request.
const maxSigned = 8 << 10

// signerClaims are the claims that a Signer sets.
var signerClaims = []string{"iss", "sub", "aud", "iat", "nbf", "exp", "jti", "method"}

// NewSigner returns a Signer. The error names the invalid option, and contains no part of a key.
func NewSigner(o SignerOptions) (*Signer, error) {
	s := &Signer{o: o, now: time.Now}
	if s.o.TTL <= 0 {
		s.o.TTL = 30 * time.Second
	}
	s.o.Claims = slices.Clone(o.Claims)
	for _, name := range o.Claims {
		if name == "" || slices.Contains(signerClaims, name) {
			return nil, fmt.Errorf("auth: an identity cannot add the claim %q", name)
		}
	}
	if (len(o.Secret) > 0) == (len(o.PrivateKey) > 0) {
		return nil, errors.New("auth: a signer requires exactly one of a secret and a private key")
	}
	if len(o.Secret) > 0 {
		if _, err := Secret(o.Secret); err != nil {
			return nil, err
		}
		s.o.Secret, s.method, s.key = nil, jwt.SigningMethodHS256, slices.Clone(o.Secret)
		return s, nil
	}
	var err error
	s.o.PrivateKey = nil
	s.method, s.key, err = privateKey(o.PrivateKey)
	return s, err
}

// privateKey parses a private key in PEM.
func privateKey(data []byte) (jwt.SigningMethod, crypto.Signer, error) {
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, nil, errors.New("auth: the private key is not PEM")
	}
	k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		if ec, other := x509.ParseECPrivateKey(block.Bytes); other == nil {
			k, err = ec, nil
		} else if r, other := x509.ParsePKCS1PrivateKey(block.Bytes); other == nil {
			k, err = r, nil
		}
	}
	if err != nil { // err might quote the key
		return nil, nil, errors.New("auth: the private key cannot be read: it must be PKCS #8, SEC 1 or PKCS #1, without a password")
	}
	switch k := k.(type) {
	case ed25519.PrivateKey:
		return jwt.SigningMethodEdDSA, k, nil
	case *ecdsa.PrivateKey:
		if k.Curve == elliptic.P256() {
			return jwt.SigningMethodES256, k, nil
		}
	case *rsa.PrivateKey:
		if k.N.BitLen() >= minRSA {
			return jwt.SigningMethodRS256, k, nil
		}
	}
	return nil, nil, errors.New("auth: the private key must be Ed25519, ECDSA with P-256, or RSA with 2048 bits or more")
}

// Sign returns a token for one audience, with sub, method, aud, iat and exp, iss if it is configured, and the claims of the
// options. The token expires no later than the identity's own credential. Sign returns an error if no token can be made, for
// example because the claims are too large.
func (s *Signer) Sign(id *Identity, audience string) (string, error) {
	now := s.now()
	until := now.Add(s.o.TTL)
	if !id.Expires.IsZero() && id.Expires.Before(until) {
		until = id.Expires
	}
	claims := jwt.MapClaims{"sub": id.Subject, "method": id.Method, "aud": audience, "iat": now.Unix(), "exp": until.Unix()}
	if s.o.Issuer != "" {
		claims["iss"] = s.o.Issuer
	}
	for _, name := range s.o.Claims {
		if v, ok := id.Claims[name]; ok {
			claims[name] = v
		}
	}
	token, err := jwt.NewWithClaims(s.method, claims).SignedString(s.key)
	if err != nil {
		return "", fmt.Errorf("auth: the identity cannot be signed: %w", err)
	}
	if len(token) > maxSigned {
		return "", fmt.Errorf("auth: the identity has more than %d KiB of claims", maxSigned>>10)
	}
	return token, nil
}
