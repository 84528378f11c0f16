package auth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// JWTOptions configures [NewJWT]: which tokens are accepted, and where they are in a request. Only Keys is required.
type JWTOptions struct {
	// Keys verify the signatures. Closing a JWT closes them too.
	Keys KeySource

	// Sources are the places where a token may be; the first one with a token is used. Put those that a browser fills
	// automatically, such as cookies, last. nil means [Bearer]. The slice is copied.
	Sources []Source

	// Algorithms are the accepted algorithms, of HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512
	// and EdDSA. nil means all of them. A key is only used with the algorithms of its type, whatever the token says. "none" is
	// never accepted. The slice is copied.
	Algorithms []string

	// Issuer is the required value of iss. "" means the issuer of Keys if they are from [OIDC], and otherwise any.
	Issuer string

	// Audience lists the names of this service, one of which must be in aud. nil means that this service has no name; tokens with
	// an aud are then not accepted (RFC 7519 §4.1.3). The slice is copied.
	Audience []string

	// AnyAudience accepts tokens for any audience. Any other service that gets a user's token can then use it here as that user.
	AnyAudience bool

	// Skew is the tolerated difference between the clocks of the issuer and this server, for exp, nbf and iat; iat must not be in
	// the future. 0 means 30 seconds, a negative value no tolerance. Skew is also added to [Identity.Expires], so that a connection
	// is not closed at the moment when its token is accepted.
	Skew time.Duration

	// AllowNoExpiry accepts tokens without exp, which are valid as long as their key.
	AllowNoExpiry bool

	// SubjectClaim is the claim for [Identity.Subject]: a string of 1 to 512 bytes without control characters, line separators and
	// bidirectional controls, or an integer. "" means sub.
	SubjectClaim string

	// Realm is the name in the challenge (RFC 9110 §11.5), without quotation marks and backslashes. "" means "handfast".
	Realm string
}

// JWT accepts tokens in the format of RFC 7519 with a signature (RFC 7515). It may be used by multiple goroutines concurrently.
type JWT struct {
	o      JWTOptions
	parser *jwt.Parser
	now    func() time.Time
}

const (
	defaultSkew = 30 * time.Second

	maxTokenSubject = 512  // the maximum length of a subject in a token, in bytes
	maxSubject      = 1024 // the maximum length of other subjects, in bytes
)

// algorithms are the supported algorithms.
var algorithms = []string{"HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384",
	"ES512", "EdDSA"}

// NewJWT returns a method that accepts tokens. The error reports invalid options.
func NewJWT(o JWTOptions) (*JWT, error) {
	if o.Keys == nil {
		return nil, errors.New("auth: JWT: keys are required")
	}
	for _, alg := range o.Algorithms {
		if !slices.Contains(algorithms, alg) {
			return nil, fmt.Errorf("auth: the algorithm %q is not one of %s", alg, strings.Join(algorithms, ", "))
		}
	}
	if strings.ContainsFunc(o.Realm, func(c rune) bool { return c < ' ' || c > '~' || c == '"' || c == '\\' }) {
		return nil, fmt.Errorf("auth: the realm %q cannot be used in a challenge", o.Realm)
	}
	if i, ok := o.Keys.(interface{ Issuer() string }); ok && i.Issuer() != "" {
		if o.Issuer != "" && o.Issuer != i.Issuer() {
			return nil, fmt.Errorf("auth: the issuer %q differs from the issuer of the keys, %q", o.Issuer, i.Issuer())
		}
		o.Issuer = i.Issuer()
	}
	o.Audience = slices.Clone(o.Audience)
	o.Algorithms = slices.Clone(o.Algorithms)
	if o.Algorithms == nil {
		o.Algorithms = algorithms
	}
	if o.Sources = slices.Clone(o.Sources); o.Sources == nil {
		o.Sources = []Source{Bearer()}
	}
	if o.Skew == 0 {
		o.Skew = defaultSkew
	}
	o.Skew = max(o.Skew, 0)
	if o.SubjectClaim == "" {
		o.SubjectClaim = "sub"
	}
	if o.Realm == "" {
		o.Realm = "handfast"
	}
	j := &JWT{o: o, now: time.Now}
	j.parser = jwt.NewParser(jwt.WithValidMethods(o.Algorithms), jwt.WithoutClaimsValidation(), jwt.WithStrictDecoding())
	return j, nil
}

// Authenticate implements [Authenticator]. Tokens of another form, or of another issuer, are left to the next method of a [Chain].
func (j *JWT) Authenticate(r *http.Request) (*Identity, error) {
	for _, s := range j.o.Sources {
		token, err := s.Token(r)
		if errors.Is(err, ErrNoCredentials) {
			continue
		}
		if err == nil {
			var id *Identity
			if id, err = j.Verify(r.Context(), token); err == nil {
				return id, nil
			}
		}
		if e, ok := errors.AsType[*Error](err); ok && e.Status == http.StatusUnauthorized {
			err = Unauthorized(e.Err, j.challenge(s.scheme, true))
		}
		return nil, err
	}
	return nil, ErrNoCredentials
}

// Challenge implements [Authenticator].
func (j *JWT) Challenge() string {
	for _, s := range j.o.Sources {
		if s.scheme == "Bearer" {
			return j.challenge(s.scheme, false)
		}
	}
	if len(j.o.Sources) == 0 {
		return ""
	}
	return j.challenge(j.o.Sources[0].scheme, false)
}

// challenge returns a challenge for a token. RFC 6750 §3: a Bearer challenge must have a parameter, and contains invalid_token if
// the request had an invalid token, but not if the request had none.
func (j *JWT) challenge(scheme string, invalid bool) string {
	if scheme != "Bearer" {
		return scheme
	}
	s := `Bearer realm="` + j.o.Realm + `"`
	if invalid {
		s += `, error="invalid_token"`
	}
	return s
}

// Close closes the keys, if they have a Close method.
func (j *JWT) Close() error {
	if c, ok := j.o.Keys.(interface{ Close() error }); ok {
		return c.Close()
	}
	return nil
}

// Verify returns the identity in a token that was not sent in a request, such as one in a message with which a client renews its
// credential. ctx limits the wait for keys, in addition to [FetchOptions.Timeout]. The error is an [*Error] that contains no part
// of the token except the key ID and claims.
func (j *JWT) Verify(ctx context.Context, token string) (*Identity, error) {
	if len(token) > maxToken {
		return nil, Unauthorized(errLongToken)
	}
	if strings.Count(token, ".") != 2 {
		return nil, foreign("the token does not have the three parts of a signed JWT (RFC 7515 §7.1)")
	}
	var claims tokenClaims
	var refused error // an error that the library would wrap with its own text
	_, err := j.parser.ParseWithClaims(token, &claims, func(t *jwt.Token) (any, error) {
		var keys any
		if keys, refused = j.keysFor(ctx, t, &claims); refused != nil {
			return nil, refused
		}
		return keys, nil
	})
	switch {
	case refused != nil:
		err = refused
	case errors.Is(err, jwt.ErrTokenMalformed): // the library's text quotes a character of the token
		err = foreign("the parts of the token are not JSON in base64url")
	case err == nil:
		var id *Identity
		if id, err = j.identity(&claims); err == nil {
			return id, nil
		}
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return nil, e
	}
	return nil, Unauthorized(err)
}

// keysFor returns the keys that a token may be signed with. The token is not verified yet: its contents only narrow the choice.
func (j *JWT) keysFor(ctx context.Context, t *jwt.Token, claims *tokenClaims) (any, error) {
	// RFC 7515 §4.1.11: critical extensions must be understood, and none is supported.
	if _, ok := t.Header["crit"]; ok {
		return nil, errors.New("the token has critical extensions, which are not supported")
	}
	if iss := claims.text("iss"); j.o.Issuer != "" && iss != j.o.Issuer {
		return nil, foreign("the token is from the issuer %.100q, not from %q", iss, j.o.Issuer)
	}
	kid, _ := t.Header["kid"].(string)
	found, err := j.o.Keys.find(ctx, kid)
	if errors.Is(err, errUnknownKey) {
		return nil, fmt.Errorf("%w, %.64q", err, kid)
	} else if err != nil {
		return nil, err
	}
	alg := t.Method.Alg()
	var set jwt.VerificationKeySet
	for _, k := range found {
		if slices.Contains(k.algs, alg) && len(set.Keys) < maxKeyTrials {
			set.Keys = append(set.Keys, k.material)
		}
	}
	if len(set.Keys) == 0 {
		return nil, fmt.Errorf("the token is signed with %s, and no matching key supports that", alg)
	}
	return set, nil
}

// identity checks the claims of a token with a valid signature against the rules.
func (j *JWT) identity(c *tokenClaims) (*Identity, error) {
	now := j.now()
	expires, err := c.date("exp")
	switch {
	case err != nil:
		return nil, err
	case expires.IsZero() && !j.o.AllowNoExpiry:
		return nil, errors.New("the token has no exp, so it would never expire")
	case !expires.IsZero():
		// RFC 7519 §4.1.4: a token must not be accepted on or after exp.
		if expires = expires.Add(j.o.Skew); !now.Before(expires) {
			return nil, errors.New("the token has expired")
		}
	}
	if notBefore, err := c.date("nbf"); err != nil {
		return nil, err
	} else if now.Add(j.o.Skew).Before(notBefore) { // RFC 7519 §4.1.5
		return nil, errors.New("the token is not valid yet")
	}
	issued, err := c.date("iat")
	if err != nil {
		return nil, err
	} else if now.Add(j.o.Skew).Before(issued) { // a logout before the time of issue would not cover the token
		return nil, errors.New("the token's time of issue (iat) is in the future")
	}
	if err := j.checkAudience(c); err != nil {
		return nil, err
	}
	subject, err := c.subject(j.o.SubjectClaim)
	if err != nil {
		return nil, err
	}
	return &Identity{Subject: subject, Method: "jwt", Claims: c.m, ID: c.text("jti"), Issued: issued, Expires: expires}, nil
}

// checkAudience enforces RFC 7519 §4.1.3.
func (j *JWT) checkAudience(c *tokenClaims) error {
	if j.o.AnyAudience {
		return nil
	}
	audience, err := c.audience()
	switch {
	case err != nil:
		return err
	case len(j.o.Audience) == 0 && len(audience) > 0:
		return fmt.Errorf("the token is for the audience %.200q, but this service has no configured audience", audience)
	case len(j.o.Audience) > 0 && !slices.ContainsFunc(j.o.Audience, func(s string) bool { return slices.Contains(audience, s) }):
		return fmt.Errorf("the token is for the audience %.200q, not for %q", audience, j.o.Audience)
	}
	return nil
}

// subject returns the claim that names the subject.
func (c *tokenClaims) subject(claim string) (string, error) {
	switch v := c.m[claim].(type) {
	case int, int64:
		return fmt.Sprint(v), nil
	case string:
		if !validSubject(v, maxTokenSubject) {
			return "", fmt.Errorf("the claim %s is not a name of 1 to %d bytes", claim, maxTokenSubject)
		}
		return v, nil
	case nil:
		return "", fmt.Errorf("the token has no claim %s, which would name the user", claim)
	}
	return "", fmt.Errorf("the claim %s is neither a string nor an integer", claim)
}
