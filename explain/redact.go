package explain

import (
	"cmp"
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/handfast/handfast/internal/redact"
	"github.com/handfast/handfast/internal/visible"
)

// shortest is the minimum length of a secret that is searched for everywhere. A shorter secret would also be found in unrelated words, and
// is redacted only in known places.
const shortest = 4

// redactor redacts the secrets of one run. Secrets in known places are redacted when lines are formatted. The redactor finds secrets in
// all other places, such as the body of a server that repeats the request.
type redactor struct {
	secrets []secret // longest first
}

// secret is one form of a secret.
type secret struct {
	text string // the secret with ASCII letters in lower case
	from int    // minimum length of a truncated secret that is redacted
}

// beginning is the minimum length of a truncated secret that is redacted. Servers truncate texts that they log or repeat.
const beginning = 8

// add adds s to the secrets, in all forms in which it may be repeated.
func (r *redactor) add(s string) {
	s = strings.TrimSpace(s)
	if len(s) < shortest {
		return
	}
	for _, form := range [...]secret{
		{s, beginning},
		{base64.StdEncoding.EncodeToString([]byte(s)), beginning * 4 / 3},
		{base64.RawURLEncoding.EncodeToString([]byte(s)), beginning * 4 / 3},
		{hex.EncodeToString([]byte(s)), 2 * beginning},
	} {
		form.text = lowerASCII(form.text)
		form.from = min(form.from, len(form.text))
		if !slices.ContainsFunc(r.secrets, func(known secret) bool { return known.text == form.text }) {
			r.secrets = append(r.secrets, form)
		}
	}
	slices.SortStableFunc(r.secrets, func(a, b secret) int { return cmp.Compare(len(b.text), len(a.text)) })
}

// text redacts the known secrets in s, which is from the server, and possible secrets of the server in URLs.
func (r *redactor) text(s string) string { return r.known(redact.Text(s)) }

// known redacts the known secrets in s.
func (r *redactor) known(s string) string {
	for _, secret := range r.secrets {
		s = secret.hide(s)
	}
	return s
}

// hide redacts the secret, and its beginnings of at least x.from bytes, in s. It ignores the case of ASCII letters.
func (x secret) hide(s string) string {
	low := lowerASCII(s)
	var out strings.Builder
	from := 0
	for i := 0; i < len(s); i++ {
		if n := x.match(s[i:], low[i:]); n > 0 {
			out.WriteString(s[from:i] + redact.Mark)
			from = i + n
			i = from - 1
		}
	}
	if from == 0 {
		return s
	}
	return out.String() + s[from:]
}

// match returns the length of the longest prefix of s that is the secret or a sufficient beginning of the secret, or 0 if there is none.
// Each character may be written as an escape sequence. low is s with ASCII letters in lower case.
func (x secret) match(s, low string) int {
	n := 0 // the length of the match without escape sequences
	for n < min(len(low), len(x.text)) && low[n] == x.text[n] {
		n++
	}
	if n == len(x.text) {
		return n
	}
	longest, end := 0, 0
	if n >= x.from {
		longest, end = n, n
	}
	if !strings.ContainsAny(s[:min(n+1, len(s))], escapes) {
		return end
	}
	// A character in s, such as a backslash, may be a character of the secret or begin an escape sequence, so there can be two ways to
	// continue. The number of steps is limited, because a secret of many such characters could be matched in too many ways.
	type position struct{ in, of int } // the position in s, and the position in the secret
	ways := []position{{}}
	for steps := maxSteps * len(x.text); len(ways) > 0 && steps > 0; steps-- {
		at := ways[len(ways)-1]
		ways = ways[:len(ways)-1]
		if at.of >= x.from && at.of > longest {
			longest, end = at.of, at.in
		}
		if at.of == len(x.text) {
			break
		}
		if at.in == len(s) {
			continue
		}
		if low[at.in] == x.text[at.of] {
			ways = append(ways, position{at.in + 1, at.of + 1})
		}
		if text, n := redact.Unescape(s[at.in:]); n > 0 && strings.HasPrefix(x.text[at.of:], lowerASCII(text)) {
			ways = append(ways, position{at.in + n, at.of + len(text)})
		}
	}
	return end
}

// escapes contains the characters that begin escape sequences.
const escapes = `%+\&`

// maxSteps is the maximum number of steps of a comparison per byte of the secret.
const maxSteps = 8

// lowerASCII returns s with ASCII letters in lower case. The result has the length of s.
func lowerASCII(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// all redacts the secrets in every string that the pointer v leads to, and makes the strings safe for a terminal. It is applied to whole
// reports, so that no field can be forgotten. It does not change the identifiers that programs compare, which may contain a password by
// chance.
func (r *redactor) all(v any) { r.walk(reflect.ValueOf(v)) }

func (r *redactor) walk(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			r.walk(v.Elem())
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return
		}
		for i := range v.NumField() {
			if !hasFixedValues(v.Type(), i) {
				r.walk(v.Field(i))
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			r.walk(v.Index(i))
		}
	case reflect.String:
		if s := v.String(); v.CanSet() {
			if clean := visible.Text(r.known(s)); clean != s {
				v.SetString(clean)
			}
		}
	}
}

// withoutLetterSecrets returns a redactor without the secrets that consist of letters. It is for the diagnoses of a redacted report: such a
// secret can occur in them only as one of their own words, because no diagnosis decodes letters or joins separated ones.
func (r *redactor) withoutLetterSecrets() *redactor {
	letter := func(c rune) bool { return 'a' <= c && c <= 'z' }
	return &redactor{slices.DeleteFunc(slices.Clone(r.secrets), func(x secret) bool { return strings.TrimLeftFunc(x.text, letter) == "" })}
}

// hasFixedValues reports whether a field of a struct contains only identifiers of a fixed list.
func hasFixedValues(t reflect.Type, i int) bool {
	switch f := t.Field(i); f.Type {
	case reflect.TypeFor[Fault](), reflect.TypeFor[Stage]():
		return true
	case reflect.TypeFor[string]():
		return slices.Contains([]string{"Opcode", "By", "How", "Clause"}, f.Name)
	}
	return false
}

// addField adds the secrets in the value of a header if the header's name indicates a secret.
func (r *redactor) addField(name, value string) {
	if !redact.Name(name) {
		return
	}
	switch {
	case equalFold(name, "Cookie"):
		for pair := range strings.SplitSeq(value, ";") {
			_, v, ok := strings.Cut(pair, "=")
			if !ok {
				v = pair
			}
			r.add(strings.Trim(strings.TrimSpace(v), `"`))
		}
	case equalFold(name, "Set-Cookie"):
		first, _, _ := strings.Cut(value, ";")
		_, v, _ := strings.Cut(first, "=")
		r.add(strings.Trim(strings.TrimSpace(v), `"`))
	default:
		r.add(value)
		if _, credentials, ok := strings.Cut(value, " "); ok && strings.Contains(strings.ToLower(name), "authorization") {
			r.add(credentials)
			if plain, err := base64.StdEncoding.DecodeString(strings.TrimSpace(credentials)); err == nil {
				if _, password, ok := strings.Cut(string(plain), ":"); ok {
					r.add(password)
				}
			}
		}
	}
}

// value returns the value of a header for display, without secrets.
func (r *redactor) value(name, value string) string {
	switch {
	case equalFold(name, "Location"), equalFold(name, "Content-Location"), equalFold(name, "Referer"):
		return r.text(redact.URL(value))
	case equalFold(name, "Sec-WebSocket-Protocol"):
		return r.text(redact.Subprotocols(value))
	case !redact.Name(name) || value == "":
		return r.text(value)
	case equalFold(name, "Cookie"):
		pairs := strings.Split(value, ";")
		for i, pair := range pairs {
			cookie, _, ok := strings.Cut(pair, "=")
			if !ok {
				pairs[i] = " " + redact.Mark
				continue
			}
			pairs[i] = cookie + "=" + redact.Mark
		}
		return r.text(strings.TrimSpace(strings.Join(pairs, ";")))
	case equalFold(name, "Set-Cookie"):
		first, attributes, more := strings.Cut(value, ";")
		cookie, _, _ := strings.Cut(first, "=")
		if !more {
			return r.text(cookie + "=" + redact.Mark)
		}
		return r.text(cookie + "=" + redact.Mark + ";" + attributes)
	case equalFold(name, "Authorization"), equalFold(name, "Proxy-Authorization"):
		if scheme, _, ok := strings.Cut(value, " "); ok {
			return scheme + " " + redact.Mark
		}
	}
	return redact.Mark
}

// addQuery adds the secrets in a query.
func (r *redactor) addQuery(raw string) {
	for part := range strings.SplitSeq(raw, "&") {
		name, value, _ := strings.Cut(part, "=")
		plain, err := url.QueryUnescape(name)
		if err == nil && !redact.Name(plain) {
			continue
		}
		r.add(value)
		if v, err := url.QueryUnescape(value); err == nil {
			r.add(v)
		}
	}
}
