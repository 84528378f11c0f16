package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/handfast/handfast/internal/redact"
)

// OIDC returns the keys of an OpenID provider, such as https://id.example.com/realm. The URL of the keys is in the provider's
// discovery document (OpenID Connect Discovery 1.0 §4), which is fetched again with the keys. A [JWT] with these keys accepts only
// the issuer's tokens. Nothing is fetched before the first token arrives. The error reports an invalid issuer URL. The caller must
// call Close.
func OIDC(issuer string, o FetchOptions) (*RemoteKeys, error) {
	o.setDefaults()
	// Discovery §2: no query and no fragment.
	if err := o.checkURL(issuer); err != nil {
		return nil, fmt.Errorf("auth: the issuer: %w", err)
	} else if strings.ContainsAny(issuer, "?#") {
		return nil, errors.New("auth: the issuer's URL must not have a query or a fragment")
	}
	c := o.client()
	k := newRemoteKeys("the keys of "+redact.Setting(issuer), o, func(ctx context.Context) (keySet, error) {
		place, err := discover(ctx, c, &o, issuer)
		if err != nil {
			return nil, fmt.Errorf("discovery: %w", err)
		}
		return fetchKeys(ctx, c, place)
	})
	k.issuer = issuer
	return k, nil
}

// discover returns the URL of an issuer's keys.
func discover(ctx context.Context, c *http.Client, o *FetchOptions, issuer string) (string, error) {
	// Discovery §4: one trailing slash is removed.
	data, err := fetch(ctx, c, strings.TrimSuffix(issuer, "/")+"/.well-known/openid-configuration")
	if err != nil {
		return "", err
	}
	var doc struct {
		Issuer string `json:"issuer"`
		Keys   string `json:"jwks_uri"`
	}
	if err := json.Unmarshal(data, &doc); err != nil {
		return "", errors.New("the response is not a JSON object")
	}
	// Discovery §4.3: the issuers must be identical. Otherwise one tenant of a provider could impersonate another.
	if doc.Issuer != issuer {
		return "", fmt.Errorf("the discovery document names another issuer, %.200q", doc.Issuer)
	}
	if err := o.checkURL(doc.Keys); err != nil {
		return "", fmt.Errorf("jwks_uri: %w", err)
	}
	return doc.Keys, nil
}
