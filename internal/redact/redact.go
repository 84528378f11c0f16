// Package redact removes secrets from displayed text: from named values, URLs, and lists of subprotocols.
package redact

import (
	"cmp"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// Mark replaces a secret.
const Mark = "[redacted]"

// parts are substrings of the names of secrets.
var parts = []string{
	"auth", "token", "secret", "passw", "pwd", "apikey", "api-key", "api_key", "access-key", "access_key", "credential",
	"cookie", "session", "jwt", "ticket", "signature", "csrf", "xsrf", "bearer", "private",
}

// names are complete names of secrets that are too short to be searched for in other names.
var names = []string{"key", "sig", "code", "jid", "sid", "pass", "otp", "state", "nonce", "assertion", "x-api-key"}

// Name reports whether the value of a header field or a query parameter of this name must be considered a secret.
func Name(name string) bool {
	name = strings.ToLower(name)
	if strings.HasPrefix(name, "sec-websocket-") || strings.HasPrefix(name, "access-control-") ||
		name == "www-authenticate" || name == "proxy-authenticate" {
		return false
	}
	return slices.Contains(names, name) ||
		slices.ContainsFunc(parts, func(p string) bool { return strings.Contains(name, p) })
}

// URL replaces the user information of a URL, and the values of secrets in its query.
func URL(raw string) string { return hide(raw, Name) }

// Setting replaces the user information of a URL, and all values in its query, because their meaning is not known.
func Setting(raw string) string {
	shown := hide(raw, func(string) bool { return true })
	if u, err := url.Parse(raw); err == nil && u.User == nil && strings.Contains(u.Host, ":") {
		if strings.Contains(u.Path, "@") { // a password with a slash in it, which looks like a port and a path
			return u.Scheme + "://" + Mark
		}
	}
	return shown
}

func hide(raw string, secret func(string) bool) string {
	u, err := url.Parse(raw)
	if err != nil || u.Opaque != "" { // a URL that cannot be parsed is hidden if it may contain a secret
		if strings.ContainsAny(raw, "?@") {
			return Mark
		}
		return raw
	}
	if u.User == nil && u.RawQuery == "" {
		return raw
	}
	u.RawQuery = query(u.RawQuery, secret)
	if u.User == nil {
		return u.String()
	}
	u.User = nil
	return strings.Replace(u.String(), "://", "://"+Mark+"@", 1)
}

// These patterns match URLs in the middle of a text, such as a page or JSON, after decode.
var (
	userinfo  = regexp.MustCompile(`//([^\s/\\?#"'<>]+)@`)
	parameter = regexp.MustCompile(`[?#&]([^\s?#&;="'<>]{1,64})=`)
)

// afterValue contains the characters that end the value of a parameter.
const afterValue = " \t\r\n&#\"'<>\\"

// Text does what [URL] does for all URLs in a text, whose characters may be escaped as in JSON or HTML.
func Text(s string) string {
	if !strings.ContainsAny(s, `@=\&`) {
		return s
	}
	plain, at := decode(s)
	var secrets [][2]int // begin and end of each secret in plain
	for _, m := range userinfo.FindAllStringSubmatchIndex(plain, -1) {
		secrets = append(secrets, [2]int{m[2], m[3]})
	}
	for _, m := range parameter.FindAllStringSubmatchIndex(plain, -1) {
		if name, err := url.QueryUnescape(plain[m[2]:m[3]]); err == nil && !Name(name) {
			continue
		}
		end := len(plain)
		if n := strings.IndexAny(plain[m[1]:], afterValue); n >= 0 {
			end = m[1] + n
		}
		secrets = append(secrets, [2]int{m[1], end})
	}
	slices.SortFunc(secrets, func(a, b [2]int) int { return cmp.Compare(a[0], b[0]) })
	var out strings.Builder
	from := 0 // the end of the last secret in s
	for _, secret := range secrets {
		if begin, end := at[secret[0]], at[secret[1]]; begin >= from && begin < end {
			out.WriteString(s[from:begin] + Mark)
			from = end
		}
	}
	return out.String() + s[from:]
}

// KubernetesPrefix is the prefix of the subprotocol in which Kubernetes accepts a bearer token from a browser.
const KubernetesPrefix = "base64url.bearer.authorization.k8s.io."

// tokenPrefixes are prefixes of subprotocols that carry a token instead of naming a protocol.
var tokenPrefixes = []string{
	KubernetesPrefix, "handfast.token.", "anycable-token.", "bearer.", "token.", "access_token.", "auth.", "jwt.",
}

// jwtPrefix is the beginning of every JWT: {" in base64.
const jwtPrefix = "eyJ"

// Subprotocol returns the part of a subprotocol before a token in it, and whether there is one.
func Subprotocol(name string) (prefix string, ok bool) {
	lower := strings.ToLower(name)
	for _, p := range tokenPrefixes {
		if strings.HasPrefix(lower, p) && len(name) > len(p) {
			return name[:len(p)], true
		}
	}
	if strings.HasPrefix(name, jwtPrefix) && strings.Count(name, ".") == 2 {
		return "", true
	}
	return name, false
}

// Subprotocols replaces the tokens in a list of subprotocols.
func Subprotocols(list string) string {
	names := strings.Split(list, ",")
	for i, name := range names {
		bare := strings.TrimSpace(name)
		if prefix, ok := Subprotocol(bare); ok {
			names[i] = strings.ReplaceAll(name, bare, prefix+Mark)
		}
	}
	return strings.Join(names, ",")
}
