package redact

import (
	"net/url"
	"slices"
	"strings"
)

// The prefixes of the credentials that this server creates, by which they are recognized where no name indicates a secret.
const (
	APIKeyPrefix = "hf_"
	TicketPrefix = "hft_"
)

// queryMark replaces a secret where the result must be a valid query, in which brackets are not allowed (RFC 3986 §3.4).
const queryMark = "redacted"

// Query replaces the values of secrets in the query of a URL, and keeps the rest.
func Query(raw string) string { return query(raw, Name) }

func query(raw string, secret func(string) bool) string {
	parts := strings.Split(raw, "&")
	for i, part := range parts {
		if name, _, ok := strings.Cut(part, "="); ok && secretName(name, secret) {
			parts[i] = name + "=" + Mark
		}
	}
	return strings.Join(parts, "&")
}

// secretName reports whether a parameter's name, as written in a query, indicates a secret.
func secretName(name string, secret func(string) bool) bool {
	plain, err := url.QueryUnescape(name)
	return err != nil || secret(plain) // a name that cannot be decoded could be any name
}

// Forwarded replaces the secrets in a query for another program, which does not need them and may log the query. It replaces more than
// [Query]: a secret is recognized by the name of its parameter, which may also be one of names, ignoring case, or by its form (a JWT, an
// API key, a ticket, a URL that has a secret parameter). The result is still a query.
func Forwarded(raw string, names ...string) string {
	secret := func(name string) bool {
		return Name(name) || slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, name) })
	}
	parts := strings.FieldsFunc(raw, func(c rune) bool { return c == '&' || c == ';' })
	for i, part := range parts {
		name, value, ok := strings.Cut(part, "=")
		switch {
		case looksSecret(name, nil): // a secret in place of the name, with or without a value
			parts[i] = queryMark
		case ok && (secretName(name, secret) || looksSecret(value, secret)):
			parts[i] = name + "=" + queryMark
		}
	}
	return strings.Join(parts, "&")
}

// looksSecret reports whether a value has the form of a credential, or, if secret is not nil, of a URL that has a secret parameter.
func looksSecret(value string, secret func(name string) bool) bool {
	plain, err := url.QueryUnescape(value)
	if err != nil {
		return true // a value that cannot be decoded could be anything
	}
	if strings.Contains(plain, jwtPrefix) || strings.Contains(plain, APIKeyPrefix) || strings.Contains(plain, TicketPrefix) ||
		strings.Contains(strings.ToLower(plain), "bearer ") {
		return true
	}
	if secret == nil {
		return false
	}
	before := strings.Split(plain, "=")
	return slices.ContainsFunc(before[:len(before)-1], func(s string) bool {
		return secret(s[strings.LastIndexAny(s, "?&;#")+1:])
	})
}
