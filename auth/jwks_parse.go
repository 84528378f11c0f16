package auth

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
)

// jwk is a key in the format of RFC 7517 §4 and RFC 7518 §6.
type jwk struct {
	Kty    string   `json:"kty"`
	Use    string   `json:"use"`
	KeyOps []string `json:"key_ops"`
	Alg    string   `json:"alg"`
	Kid    string   `json:"kid"`
	Crv    string   `json:"crv"`
	X      string   `json:"x"`
	Y      string   `json:"y"`
	N      string   `json:"n"`
	E      string   `json:"e"`
	K      string   `json:"k"`
	D      string   `json:"d"` // only in private keys
}

// keyOwner is the owner of the keys that are parsed.
type keyOwner bool

const (
	ownKeys    keyOwner = false // this server: every key must be usable, and secrets are allowed
	issuerKeys keyOwner = true  // an issuer: it may publish any keys, and a published secret is not a secret
)

func parseJWKs(data []byte, owner keyOwner) (keySet, error) {
	var doc struct {
		jwk
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(data, &doc); err != nil {
		return nil, errors.New("the keys are not valid JSON") // err might quote the keys
	}
	if doc.Keys == nil && doc.Kty != "" {
		doc.Keys = []json.RawMessage{data}
	}
	if len(doc.Keys) > maxKeys {
		return nil, fmt.Errorf("the set has %d keys; at most %d are accepted", len(doc.Keys), maxKeys)
	}
	var set keySet
	var refused error
	for i, raw := range doc.Keys {
		k, err := parseJWK(raw, owner)
		if err == nil {
			set = append(set, k)
			continue
		}
		err = fmt.Errorf("key %d of the set: %w", i+1, err)
		if owner == ownKeys {
			return nil, err
		}
		// RFC 7517 §5: a key of a kind, use or size that is not understood is ignored.
		if refused == nil {
			refused = err
		}
	}
	if len(set) == 0 {
		if refused != nil {
			return nil, refused
		}
		return nil, errors.New("the set has no keys")
	}
	return set, nil
}

func parseJWK(raw []byte, owner keyOwner) (*key, error) {
	var j jwk
	if err := json.Unmarshal(raw, &j); err != nil {
		return nil, errors.New("not a JWK")
	}
	// RFC 7517 §4.2, §4.3: a key for encryption does not verify signatures.
	if j.Use != "" && j.Use != "sig" {
		return nil, fmt.Errorf("the use of the key is %.20q, and not \"sig\"", j.Use)
	}
	if len(j.KeyOps) > 0 && !slices.Contains(j.KeyOps, "verify") {
		return nil, errors.New("the key_ops of the key do not include \"verify\"")
	}
	if j.D != "" {
		return nil, errPrivateKey
	}
	switch j.Kty {
	case "RSA":
		return j.rsa()
	case "EC":
		return j.ec()
	case "OKP":
		return j.okp()
	case "oct":
		return j.oct(owner)
	}
	return nil, fmt.Errorf("unsupported key type %.20q", j.Kty)
}

var errParameter = errors.New("a parameter of the key does not conform to RFC 7518 §6")

func (j *jwk) rsa() (*key, error) {
	n, err := base64.RawURLEncoding.DecodeString(j.N)
	if err != nil {
		return nil, errParameter
	}
	e, err := base64.RawURLEncoding.DecodeString(j.E)
	if err != nil || len(e) == 0 || len(e) > 4 || e[0] > 0x7f && len(e) == 4 {
		return nil, errParameter
	}
	return newKey(j.Kid, j.Alg, &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())})
}

func (j *jwk) ec() (*key, error) {
	curve := map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()}[j.Crv]
	if curve == nil {
		return nil, fmt.Errorf("unsupported curve %.20q", j.Crv)
	}
	size := (curve.Params().BitSize + 7) / 8
	x, errX := base64.RawURLEncoding.DecodeString(j.X)
	y, errY := base64.RawURLEncoding.DecodeString(j.Y)
	// RFC 7518 §6.2.1.2: the values must have the length of a coordinate.
	if errX != nil || errY != nil || len(x) != size || len(y) != size {
		return nil, errParameter
	}
	public, err := ecdsa.ParseUncompressedPublicKey(curve, slices.Concat([]byte{4}, x, y)) // checks that the point is on the curve
	if err != nil {
		return nil, errParameter
	}
	return newKey(j.Kid, j.Alg, public)
}

// okp parses a key of RFC 8037.
func (j *jwk) okp() (*key, error) {
	if j.Crv != "Ed25519" {
		return nil, fmt.Errorf("unsupported curve %.20q", j.Crv)
	}
	x, err := base64.RawURLEncoding.DecodeString(j.X)
	if err != nil || len(x) != ed25519.PublicKeySize {
		return nil, errParameter
	}
	return newKey(j.Kid, j.Alg, ed25519.PublicKey(x))
}

func (j *jwk) oct(owner keyOwner) (*key, error) {
	if owner == issuerKeys {
		return nil, errors.New("the set publishes a symmetric secret")
	}
	secret, err := base64.RawURLEncoding.DecodeString(j.K)
	if err != nil {
		return nil, errParameter
	}
	k, err := secretKey(j.Kid, secret)
	if err != nil {
		return nil, err
	}
	return k.restrictTo(j.Alg)
}
