package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/handfast/handfast/config/internal/tree"
)

// refs checks the methods of an endpoint or a page.
func (k *checker) refs(refs []AuthRef, path string, anonymous bool) {
	for i, ref := range refs {
		p := fmt.Sprintf("%s[%d]", path, i)
		switch {
		case ref.Method != nil:
		case ref.Name == Anonymous && !anonymous:
			k.tree.Wrong(p, "anonymous is not allowed here", "a method that identifies the client")
		case ref.Name == Anonymous:
			if i < len(refs)-1 {
				k.tree.Wrong(p, "anonymous admits every client, so the methods after it are never used", "anonymous as the last method")
			}
		case k.c.Auth[ref.Name] == nil:
			k.unknownMethod(ref.Name, p)
		}
		if ref.Name != "" && slices.IndexFunc(refs, func(r AuthRef) bool { return r.Name == ref.Name }) < i {
			k.tree.Wrong(p, tree.Quote(ref.Name)+" is already in the list", "")
		}
	}
}

func (k *checker) unknownMethod(name, path string) {
	k.tree.Unknown(path, tree.Quote(name)+" is not a method under auth", name, append(slices.Sorted(maps.Keys(k.c.Auth)), Anonymous))
}

func (k *checker) ticket(t *Ticket, path string) {
	k.path(t.Path, path+".path")
	k.refs(t.Auth, path+".auth", false)
	k.rejectTickets(t.Auth, path+".auth")
	k.rejectAnyOrigin(t.Origins, path+".origins")
}

// rejectTickets rejects tickets as the credential for requesting tickets, because a session could then be extended forever.
func (k *checker) rejectTickets(refs []AuthRef, path string) {
	for i, ref := range refs {
		m := ref.Method
		if m == nil {
			m = k.c.Auth[ref.Name]
		}
		if m != nil && m.Ticket != nil {
			k.tree.Wrong(fmt.Sprintf("%s[%d]", path, i), "a ticket cannot be used to get a ticket", "another kind of credential")
		}
	}
}

func (k *checker) jwt(j *JWT, path string) {
	var given []string
	for _, key := range []struct {
		name string
		set  bool
	}{
		{"secret", !j.Secret.Empty()}, {"public_key", j.PublicKey != ""}, {"public_key_file", j.PublicKeyFile != ""},
		{"jwks_url", j.JWKSURL != ""}, {"oidc_issuer", j.OIDCIssuer != ""},
	} {
		if key.set || k.tree.Failed(path+"."+key.name) {
			given = append(given, key.name)
		}
	}
	const want = "one of secret, public_key, public_key_file, jwks_url and oidc_issuer"
	switch {
	case len(given) == 0:
		k.tree.Wrong(path, "there is no key to verify tokens with", want)
		return
	case len(given) > 1:
		k.tree.Wrong(path+"."+given[1], given[0]+" is also given", want)
		return
	}
	k.algorithms(j, path, given[0] == "secret")
	if j.JWKSURL != "" {
		k.url(j.JWKSURL, path+".jwks_url", "https", "http")
	}
	if j.OIDCIssuer != "" {
		k.url(j.OIDCIssuer, path+".oidc_issuer", "https", "http")
	}
	if len(j.Audience) > 0 && j.AnyAudience {
		k.tree.Wrong(path+".any_audience", "audience is also given", "one of the two")
	}
}

// algorithms checks that the algorithms fit the kind of key: if a public key were used as an HMAC secret, everyone who knows it
// could issue tokens (RFC 8725 §2.1).
func (k *checker) algorithms(j *JWT, path string, secret bool) {
	if k.tree.Failed(path + ".secret") {
		return
	}
	for i, a := range j.Algorithms {
		p := fmt.Sprintf("%s.algorithms[%d]", path, i)
		size, hmac := map[string]int{"HS256": 32, "HS384": 48, "HS512": 64}[a]
		switch {
		case secret && !hmac:
			k.tree.Wrong(p, tree.Quote(a)+" needs a public key", "HS256, HS384 or HS512 with a secret")
		case !secret && hmac:
			k.tree.Wrong(p, tree.Quote(a)+" needs a secret", "an algorithm with a public key, such as RS256, ES256 or EdDSA")
		case secret && len(j.Secret.Reveal()) < size:
			k.tree.Wrong(path+".secret", fmt.Sprintf("the secret has %d bytes", len(j.Secret.Reveal())),
				fmt.Sprintf("%d bytes or more for %s (RFC 7518 §3.2)", size, a))
		}
	}
}

func (k *checker) apiKeys(a *APIKey, path string) {
	if len(a.Keys) == 0 && a.File == "" {
		k.tree.Wrong(path, "there are no keys", "keys or file")
	}
	seen := map[string]bool{}
	for i, key := range a.Keys {
		p := fmt.Sprintf("%s.keys[%d]", path, i)
		if seen[key.ID] && key.ID != "" {
			k.tree.Wrong(p+".id", tree.Quote(key.ID)+" is also the id of another key", "a unique id")
		}
		seen[key.ID] = true
		digits, ok := strings.CutPrefix(key.Hash, "sha256:")
		if (!ok || len(digits) != 64 || strings.Trim(digits, "0123456789abcdef") != "") && key.Hash != "" {
			k.tree.Wrong(p+".hash", "not the hash of a key", "sha256: and 64 hexadecimal digits in lower case")
		}
	}
}

func (k *checker) cookie(c *Cookie, path string) {
	switch {
	case c.JWT == nil && c.Forward == nil:
		k.tree.Wrong(path, "no check of the cookie's value is configured", "one of jwt and forward")
	case c.JWT != nil && c.Forward != nil:
		k.tree.Wrong(path+".forward", "jwt is also given", "one of the two")
	}
	if strings.ContainsAny(c.Name, " ;,=\"\t") {
		k.tree.Wrong(path+".name", "not a cookie name", "letters, digits, - and _")
	}
}

func (k *checker) certificate(path string) {
	for i := range k.c.Listen {
		if k.c.Listen[i].TLS.ClientAuth != ClientAuthOff {
			return
		}
	}
	k.tree.Wrong(path, "no listener requests client certificates", "client_cas under the tls of a listener")
}

func (k *checker) forward(f *Forward, path string) {
	if f.URL != "" {
		k.url(f.URL, path+".url", "http", "https")
	}
	if len(f.Headers) == 0 {
		k.tree.Wrong(path+".headers", "no part of the request is forwarded", "a list of header names")
	}
	for i, h := range f.Headers {
		if !validHeader(h) {
			k.tree.Wrong(fmt.Sprintf("%s.headers[%d]", path, i), tree.Quote(h)+" is not a header name", "letters, digits and -")
		}
	}
	if !validHeader(f.UserHeader) {
		k.tree.Wrong(path+".user_header", tree.Quote(f.UserHeader)+" is not a header name", "letters, digits and -")
	}
}

// validHeader reports whether a name is valid as the name of a header (RFC 9110 §5.1).
func validHeader(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
	})
}
