package cli

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/spf13/cobra"

	"github.com/handfast/handfast/internal/freename"
)

// jwtFlags are the flags of "token jwt".
type jwtFlags struct {
	secretFile string
	keyFile    string
	kid        string
	sub        string
	issuer     string
	audience   []string
	expires    time.Duration
	claims     []string
}

func newTokenJWT(sys *System) *cobra.Command {
	var f jwtFlags
	cmd := &cobra.Command{
		Use:   "jwt",
		Short: "Make a signed token (RFC 7519)",
		Long: `Makes a token and prints it. The key determines the algorithm: HS256 for a secret, RS256 for
an RSA key, ES256, ES384 or ES512 for an ECDSA key, EdDSA for an Ed25519 key. The secret is
a file of 32 bytes or more; a trailing newline is ignored.

The command is for tests and for programs that sign their own tokens. Users get their
tokens from the service that authenticates them.`,
		Example: `  handfast token jwt --secret-file secret --sub alice
  handfast token jwt --key private.pem --sub alice --aud chat --claim 'roles=["admin"]'`,
		Args: noArgs,
		RunE: run(func(*cobra.Command, []string) error {
			token, err := f.sign(time.Now())
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(sys.Stdout, token)
			return err
		}),
	}
	flags := cmd.Flags()
	flags.StringVar(&f.secretFile, "secret-file", "", "sign with the secret in this `file`")
	flags.StringVar(&f.keyFile, "key", "", "sign with the private key in this PEM `file`")
	flags.StringVar(&f.kid, "kid", "", "the key's `id`, for a verifier that has several keys")
	flags.StringVar(&f.sub, "sub", "", "the `user` that the token identifies")
	flags.StringVar(&f.issuer, "iss", "", "the `issuer`")
	flags.StringArrayVar(&f.audience, "aud", nil, "an `audience`; may be repeated")
	flags.DurationVar(&f.expires, "expires", time.Hour, "how long the token is valid; a negative duration makes an expired token")
	flags.StringArrayVar(&f.claims, "claim", nil, "an additional claim, `name=value`; the value may be JSON; may be repeated")
	complete(cmd, map[string][]string{"kid": {}, "sub": {}, "iss": {}, "aud": {}, "claim": {}, "expires": {"5m", "1h", "24h"}})
	return cmd
}

// registered lists the claims that have their own flag, or are set automatically.
var registered = []string{"sub", "iss", "aud", "exp", "iat", "nbf", "jti"}

// sign creates the token.
func (f *jwtFlags) sign(now time.Time) (string, error) {
	switch {
	case (f.secretFile == "") == (f.keyFile == ""):
		return "", usagef("make a secret: head -c 32 /dev/urandom | base64 >"+shellQuote(freename.Of("secret"))+", and give that file", "give one of --secret-file and --key")
	case f.sub == "":
		return "", usagef("name the user, such as --sub alice", "--sub, the user of the token, is missing")
	case f.expires == 0:
		return "", usagef("write a time such as 1h; a negative one makes a token that has expired", "--expires cannot be 0")
	}
	id := make([]byte, 16)
	_, _ = rand.Read(id) // according to its documentation, it never fails
	claims := jwt.MapClaims{
		"sub": f.sub, "iat": now.Add(2 * min(f.expires, 0)).Unix(), "exp": now.Add(f.expires).Unix(), "jti": hex.EncodeToString(id),
	}
	if f.issuer != "" {
		claims["iss"] = f.issuer
	}
	if len(f.audience) > 0 {
		claims["aud"] = f.audience
	}
	for _, c := range f.claims {
		name, text, ok := strings.Cut(c, "=")
		if !ok || name == "" {
			return "", usagef("write --claim name=value", "--claim %q is not of the form name=value", c)
		}
		if slices.Contains(registered, name) {
			return "", usagef("--sub, --iss, --aud and --expires set the registered claims", "--claim %s cannot be set", name)
		}
		var value any
		if json.Unmarshal([]byte(text), &value) != nil {
			if strings.HasPrefix(text, "[") || strings.HasPrefix(text, "{") { // as a string, the value would match no rule for a list
				return "", usagef(`write strings in double quotes, such as --claim 'roles=["chat"]'`, "--claim %s: the value is not valid JSON", name)
			}
			value = text
		}
		claims[name] = value
	}
	method, key, err := f.signer()
	if err != nil {
		return "", err
	}
	token := jwt.NewWithClaims(method, claims)
	if f.kid != "" {
		token.Header["kid"] = f.kid
	}
	return token.SignedString(key)
}

// signer reads the key and returns the matching algorithm.
func (f *jwtFlags) signer() (jwt.SigningMethod, any, error) {
	if f.secretFile != "" {
		b, err := readNamed("--secret-file", f.secretFile)
		if err != nil {
			return nil, nil, err
		}
		secret := []byte(strings.TrimRight(string(b), "\r\n"))
		if len(secret) < 32 { // RFC 7518 §3.2
			return nil, nil, usagef("make a longer secret: head -c 32 /dev/urandom | base64 >"+shellQuote(freename.Of(f.secretFile)),
				"the secret in %s has %d bytes; HS256 needs 32", f.secretFile, len(secret))
		}
		return jwt.SigningMethodHS256, secret, nil
	}
	key, err := readSigner(f.keyFile)
	if err != nil {
		return nil, nil, err
	}
	switch k := key.(type) {
	case *rsa.PrivateKey:
		return jwt.SigningMethodRS256, k, nil
	case ed25519.PrivateKey:
		return jwt.SigningMethodEdDSA, k, nil
	case *ecdsa.PrivateKey:
		switch k.Curve {
		case elliptic.P256():
			return jwt.SigningMethodES256, k, nil
		case elliptic.P384():
			return jwt.SigningMethodES384, k, nil
		case elliptic.P521():
			return jwt.SigningMethodES512, k, nil
		}
	}
	return nil, nil, usagef("use an RSA, ECDSA or Ed25519 key", "the key in %s is of a kind that cannot sign tokens", f.keyFile)
}

// readSigner reads a private key in any of the forms that openssl writes.
func readSigner(path string) (crypto.PrivateKey, error) {
	rest, err := readNamed("--key", path)
	if err != nil {
		return nil, err
	}
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return nil, usagef("make a private key: openssl genpkey -algorithm ed25519 -out "+shellQuote(freename.Of("key.pem")), "%s holds no private key in PEM", path)
		}
		if !strings.HasSuffix(block.Type, "PRIVATE KEY") {
			continue // the block contains the parameters of a curve, or a certificate
		}
		if key, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
			return key, nil
		}
		if key, err := x509.ParseECPrivateKey(block.Bytes); err == nil {
			return key, nil
		}
		if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
			return key, nil
		}
		return nil, usagef("if the key has a password, remove it: openssl pkey -in "+shellQuote(path)+" -out "+shellQuote(freename.Of("key.pem")), "the private key in %s cannot be read", path)
	}
}

func newTokenShow(sys *System) *cobra.Command {
	return &cobra.Command{
		Use:   "show [TOKEN|@FILE|env:NAME|-]",
		Short: "Show the contents of a signed token",
		Long: `Prints the header and the claims of a token as JSON, without verifying the signature: anyone
can write such a token. Without an argument, and with -, the token is read from standard
input. Other users of the machine can see an argument: use @FILE.`,
		Example: `  handfast token show @token
  handfast token show <token`,
		Args:              oneToken,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: run(func(_ *cobra.Command, args []string) error {
			token, err := readToken(sys, "handfast token show", args)
			if err != nil {
				return err
			}
			return showToken(sys.Stdout, token)
		}),
	}
}

// errNoToken does not contain the input.
var errNoToken = &hinted{errors.New("not a signed token: want three parts in base64url, the first two of them JSON"),
	"pass the part after \"Bearer \" in an Authorization header"}

// showToken prints the decoded header and claims of a token, without checking its signature.
func showToken(w io.Writer, token string) error {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return errNoToken
	}
	var shown struct {
		Header map[string]any `json:"header"`
		Claims map[string]any `json:"claims"`
	}
	for i, into := range []*map[string]any{&shown.Header, &shown.Claims} {
		b, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil || json.Unmarshal(b, into) != nil || *into == nil {
			return errNoToken
		}
	}
	return writeJSON(w, shown)
}
