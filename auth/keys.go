package auth

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// KeySource provides the keys that verify signatures: [Secret], [Keys], [KeyFile], [JWKS] or [OIDC]. It may be used by multiple
// goroutines concurrently, and by several [JWT]s.
type KeySource interface {
	// find returns the keys that may have signed a token with this kid, which is "" if the token has none. The error is
	// errUnknownKey, or an *Error with status 503.
	find(ctx context.Context, kid string) ([]*key, error)
}

// errUnknownKey indicates that a working source has no key with that ID.
var errUnknownKey = errors.New("no key has the id that the token names")

// key is one key. The allowed algorithms depend on its type, never on the token: otherwise the text of a public RSA key could be
// used as an HMAC secret (RFC 8725 §3.1).
type key struct {
	id       string   // "" matches a token with any kid
	algs     []string // the algorithms that the key may verify
	material any      // []byte, *rsa.PublicKey, *ecdsa.PublicKey, ed25519.PublicKey
}

const (
	minSecret    = 32   // bytes
	minRSA       = 2048 // bits
	maxRSA       = 8192 // bits; a verification takes 16 times as long as with 2048
	maxKeys      = 100  // maximum number of keys of one source
	maxKeyData   = 1 << 20
	maxKeyTrials = 8 // signatures checked for one token without a key ID
)

// Secret returns a source for a secret that the issuer of the tokens shares with this server. The source verifies HS256, from 48
// bytes on also HS384, and from 64 bytes on also HS512, because RFC 7518 §3.2 requires at least the length of the hash. A party
// that can verify tokens with a secret can also issue them. Secret returns an error if the secret has less than 32 bytes or
// contains a key in PEM. The slice is copied.
func Secret(secret []byte) (KeySource, error) {
	if strings.Contains(string(secret), "-----BEGIN ") {
		return nil, errors.New("auth: this secret is a key in PEM: pass it to Keys")
	}
	k, err := secretKey("", secret)
	if err != nil {
		return nil, fmt.Errorf("auth: %w", err)
	}
	return keySet{k}, nil
}

// Keys parses public keys: PEM (PUBLIC KEY, RSA PUBLIC KEY, CERTIFICATE; one or more), a JWK or a JWK set (RFC 7517), in which
// secrets are allowed, too. The validity of a certificate is not checked. The error describes the key that cannot be used and the
// reason; it contains no part of data. Keys does not keep the slice.
func Keys(data []byte) (KeySource, error) {
	set, err := parseKeys(data)
	if err != nil {
		return nil, fmt.Errorf("auth: %w", err)
	}
	return set, nil
}

// keySet is a small set of keys; it is never changed.
type keySet []*key

// find implements [KeySource].
func (s keySet) find(_ context.Context, kid string) ([]*key, error) {
	found := s.match(kid)
	if len(found) == 0 {
		return nil, errUnknownKey
	}
	return found, nil
}

// match returns the keys that may have signed a token with this kid, those with the same ID first.
func (s keySet) match(kid string) []*key {
	if kid == "" {
		return s
	}
	var named, unnamed []*key
	for _, k := range s {
		switch k.id {
		case kid:
			named = append(named, k)
		case "":
			unnamed = append(unnamed, k)
		}
	}
	if named != nil {
		return named
	}
	return unnamed
}

// parseKeys parses PEM, a JWK or a JWK set. Every key must be usable, because the keys are this server's own.
func parseKeys(data []byte) (keySet, error) {
	switch text := strings.TrimSpace(string(data)); {
	case len(data) > maxKeyData:
		return nil, errors.New("the keys are larger than 1 MiB")
	case strings.HasPrefix(text, "{"):
		return parseJWKs(data, ownKeys)
	case strings.Contains(text, "-----BEGIN "):
		return parsePEM(data)
	}
	return nil, errors.New("there are no keys: the data is neither PEM, nor a JWK, nor a JWK set")
}

func parsePEM(data []byte) (keySet, error) {
	var set keySet
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			break
		}
		public, err := parseBlock(block)
		if err == nil {
			var k *key
			if k, err = newKey("", "", public); err == nil {
				set = append(set, k)
			}
		}
		if err != nil {
			return nil, fmt.Errorf("PEM block %d (%s): %w", len(set)+1, block.Type, err)
		}
		if len(set) > maxKeys {
			return nil, fmt.Errorf("there are more than %d keys", maxKeys)
		}
	}
	if len(set) == 0 {
		return nil, errors.New("no complete PEM block")
	}
	return set, nil
}

// parseBlock returns the public key in a PEM block.
func parseBlock(block *pem.Block) (any, error) {
	switch block.Type {
	case "PUBLIC KEY":
		return x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		return x509.ParsePKCS1PublicKey(block.Bytes)
	case "CERTIFICATE":
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		return c.PublicKey, nil
	}
	if strings.HasSuffix(block.Type, "PRIVATE KEY") {
		return nil, errPrivateKey
	}
	return nil, errors.New("not a public key")
}

var errPrivateKey = errors.New("this is a private key; the server only verifies tokens and needs the public key")

// newKey makes a key that may verify with the algorithms of its type, or, if alg is not "", only with alg.
func newKey(id, alg string, public any) (*key, error) {
	k := &key{id: id, material: public}
	switch p := public.(type) {
	case *rsa.PublicKey:
		// RFC 7518 §3.3: 2048 bits or more.
		if n := p.N.BitLen(); n < minRSA || n > maxRSA {
			return nil, fmt.Errorf("the RSA key has %d bits; %d to %d are accepted", n, minRSA, maxRSA)
		}
		if p.E < 3 || p.E%2 == 0 {
			return nil, errors.New("the RSA key has an invalid exponent")
		}
		k.algs = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}
	case *ecdsa.PublicKey:
		alg, ok := curveAlgs[p.Curve]
		if !ok {
			return nil, errors.New("no algorithm uses the curve of this ECDSA key")
		}
		k.algs = []string{alg}
	case ed25519.PublicKey:
		k.algs = []string{"EdDSA"}
	default:
		return nil, fmt.Errorf("keys of type %T cannot sign tokens", public)
	}
	return k.restrictTo(alg)
}

// curveAlgs are the algorithms of the curves (RFC 7518 §3.4).
var curveAlgs = map[elliptic.Curve]string{
	elliptic.P256(): "ES256", elliptic.P384(): "ES384", elliptic.P521(): "ES512",
}

func secretKey(id string, secret []byte) (*key, error) {
	if len(secret) < minSecret {
		return nil, fmt.Errorf("the secret has %d bytes; tokens require %d random bytes or more (RFC 7518 §3.2)", len(secret), minSecret)
	}
	k := &key{id: id, material: slices.Clone(secret), algs: []string{"HS256"}}
	if len(secret) >= 48 {
		k.algs = append(k.algs, "HS384")
	}
	if len(secret) >= 64 {
		k.algs = append(k.algs, "HS512")
	}
	return k, nil
}

// restrictTo restricts k to the algorithm alg, if alg is not empty.
func (k *key) restrictTo(alg string) (*key, error) {
	if alg == "Ed25519" { // RFC 9864 §2.2: the new name of the only EdDSA variant in use
		alg = "EdDSA"
	}
	if alg == "" {
		return k, nil
	}
	if !slices.Contains(k.algs, alg) {
		return nil, fmt.Errorf("the algorithm %.20q does not match the type or size of the key", alg)
	}
	k.algs = []string{alg}
	return k, nil
}
