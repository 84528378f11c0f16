package auth

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// tokenClaims are the claims of one token. Integers are decoded exactly: as float64, two long IDs could be equal.
type tokenClaims struct {
	m map[string]any

	jwt.Claims // always nil, so that the parser validates no claims: the rules are enforced here, with other limits and messages
}

// UnmarshalJSON implements [json.Unmarshaler].
func (c *tokenClaims) UnmarshalJSON(data []byte) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if err := d.Decode(&c.m); err != nil {
		return errors.New("the claims are not a JSON object") // err might quote the claims
	}
	plainClaims(c.m)
	return nil
}

// plainClaims replaces every json.Number in claims, and returns them. It is used for the claims of all methods: a rule must
// not treat two numbers as equal just because a float64 cannot distinguish them.
func plainClaims(claims map[string]any) map[string]any {
	for name, v := range claims {
		claims[name] = plain(v)
	}
	return claims
}

// decodeClaims decodes JSON with claims: numbers in maps become json.Number, for plainClaims.
func decodeClaims(data []byte, to any) error {
	if !json.Valid(data) { // a decoder ignores the data after the value
		return errors.New("not JSON")
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	return d.Decode(to)
}

// plain replaces every json.Number in v, with an int if possible, and with an int64 if an int is too small.
func plain(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := strconv.ParseInt(v.String(), 10, 64); err == nil {
			if int64(int(n)) == n {
				return int(n)
			}
			return n
		}
		f, _ := v.Float64() // values that are too large become infinite
		return f
	case []any:
		for i := range v {
			v[i] = plain(v[i])
		}
	case map[string]any:
		for name := range v {
			v[name] = plain(v[name])
		}
	}
	return v
}

// text returns a string claim, or "" for a claim of any other type.
func (c *tokenClaims) text(name string) string {
	s, _ := c.m[name].(string)
	return s
}

// latest is the latest time allowed in a claim: the beginning of the last day of the year 9999. With the skew added it can still be
// formatted as RFC 3339, which a ticket needs.
const latest = 253402214400

// date returns a claim that is a NumericDate (RFC 7519 §2), the zero time if it is missing.
func (c *tokenClaims) date(name string) (time.Time, error) {
	var seconds float64
	switch v := c.m[name].(type) {
	case nil:
		return time.Time{}, nil
	case int:
		seconds = float64(v)
	case int64:
		seconds = float64(v)
	case float64:
		seconds = v
	default:
		return time.Time{}, fmt.Errorf("the claim %s is not a number", name)
	}
	if !(seconds >= 0 && seconds <= latest) {
		return time.Time{}, fmt.Errorf("the claim %s is not a date", name)
	}
	whole, part := math.Modf(seconds)
	return time.Unix(int64(whole), int64(part*1e9)), nil
}

// audience returns aud: one string, or a list of strings (RFC 7519 §4.1.3).
func (c *tokenClaims) audience() ([]string, error) {
	switch v := c.m["aud"].(type) {
	case nil:
		return nil, nil
	case string:
		return []string{v}, nil
	case []any:
		all := make([]string, len(v))
		for i := range v {
			s, ok := v[i].(string)
			if !ok {
				return nil, errors.New("the claim aud is not a list of strings")
			}
			all[i] = s
		}
		return all, nil
	}
	return nil, errors.New("the claim aud is neither a string nor a list")
}
