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

// JWTOptions says which tokens hold, and where they stand. Only Keys is required.
type JWTOptions struct {
	// Keys are what signatures are verified with. A JWT that is closed closes them too.
	Keys KeySource

	// Sources are the places where a token may stand; the first that has one counts. Put those that a browser fills by
	// itself, cookies, last. nil means [Bearer]. The slice is copied.
	Sources []Source

	// Algorithms are those that are taken, of HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384,
	// ES512 and EdDSA. nil means all of them: whatever a token says, a key serves only for the algorithms of its type.
	// "none" is not one of them. The slice is copied.
	Algorithms []string

	// Issuer is what iss must be. "" means the issuer of Keys if they come from [OIDC], and otherwise any.
	Issuer string

	// Audience are names of this service, one of which must be in aud. nil means that it has no name: then no token is
	// taken that says whom it is for (RFC 7519 §4.1.3). The slice is copied.
	Audience []string

	// AnyAudience takes tokens whomever they are for. A service that gets a user's token, for whatever it does, can then
	// use it here as that user.
	AnyAudience bool

	// Skew is by how much the issuer's clock may be off: for exp, nbf and iat, which must not be in the future. 0 means
	// 30 seconds, less than 0 not at all. It lengthens [Identity.Expires] too, so that a token which opens a connection
	// does not close it in the same moment.
	Skew time.Duration

	// AllowNoExpiry takes tokens without exp, which hold as long as their key does.
	AllowNoExpiry bool

	// SubjectClaim is the claim that becomes [Identity.Subject]: a text of 1 to 512 bytes without control characters and the like, or a
	// whole number. "" means sub.
	SubjectClaim string

	// Realm is the name in the challenge (RFC 9110 §11.5), without quotation marks and backslashes. "" means "handfast".
	Realm string
}

// JWT takes tokens in the form of RFC 7519 with a signature (RFC 7515). It may be used by multiple goroutines concurrently.
type JWT struct {
	o      JWTOptions
	parser *jwt.Parser
	now    func() time.Time
}

const (
	defaultSkew = 30 * time.Second

	maxTokenSubject = 512  // bytes, of a subject in a token
	maxSubject      = 1024 // of others
)

// algorithms are those that a key here can have.
var algorithms = []string{"HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384",
	"ES512", "EdDSA"}

// NewJWT returns a method that takes tokens. The error is about options that cannot be meant.
func NewJWT(o JWTOptions) (*JWT, error) {
	if o.Keys == nil {
		return nil, errors.New("auth: a JWT without keys")
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

// Authenticate implements [Authenticator]. A token of another form, or of another issuer, is left to the next method of a
// [Chain].
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

// challenge asks for a token. RFC 6750 §3: Bearer has a parameter, and says invalid_token of a token that does not hold, but
// not of none.
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

// Close closes the keys, if they can be closed.
func (j *JWT) Close() error {
	if c, ok := j.o.Keys.(interface{ Close() error }); ok {
		return c.Close()
	}
	return nil
}

// Verify returns whose token this is: for a token that comes by another way than in a request, such as a message by which a
// client stays when its first token ends. ctx bounds a wait for keys, which has its own bound too. The error is an [*Error];
// neither it nor its text holds any part of the token but the name of its key and what it says of itself.
func (j *JWT) Verify(ctx context.Context, token string) (*Identity, error) {
	if len(token) > maxToken {
		return nil, Unauthorized(errLongToken)
	}
	if strings.Count(token, ".") != 2 {
		return nil, foreign("the token does not have the three parts of a signed JWT (RFC 7515 §7.1)")
	}
	var claims tokenClaims
	var refused error // what the library would wrap into words of its own
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
	case errors.Is(err, jwt.ErrTokenMalformed): // the library's words quote a character of it
		err = foreign("its parts are not JSON in base64url")
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

// keysFor returns the keys that a token may be signed with, before its signature is looked at: what it says only narrows
// the choice.
func (j *JWT) keysFor(ctx context.Context, t *jwt.Token, claims *tokenClaims) (any, error) {
	// RFC 7515 §4.1.11: what is critical must be understood, and no extension is.
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

// identity holds the claims of a token whose signature holds against the rules.
func (j *JWT) identity(c *tokenClaims) (*Identity, error) {
	now := j.now()
	expires, err := c.date("exp")
	switch {
	case err != nil:
		return nil, err
	case expires.IsZero() && !j.o.AllowNoExpiry:
		return nil, errors.New("the token has no exp, so it would never expire")
	case !expires.IsZero():
		// RFC 7519 §4.1.4: on or after exp it must not be accepted.
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
	} else if now.Add(j.o.Skew).Before(issued) { // no logout before that moment would cover it
		return nil, errors.New("the token was issued in the future")
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
		return fmt.Errorf("the token is for the audience %.200q, and this service has none configured", audience)
	case len(j.o.Audience) > 0 && !slices.ContainsFunc(j.o.Audience, func(s string) bool { return slices.Contains(audience, s) }):
		return fmt.Errorf("the token is for %.200q, not for %q", audience, j.o.Audience)
	}
	return nil
}

// subject returns the claim that says who it is.
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
		return "", fmt.Errorf("the token has no claim %s, which names its user", claim)
	}
	return "", fmt.Errorf("the claim %s is neither a string nor an integer", claim)
}
