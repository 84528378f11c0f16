package explain

import (
	"cmp"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"

	"github.com/handfast/handfast/internal/redact"
	"github.com/handfast/handfast/internal/visible"
)

// shortest is the minimum length of a secret that is searched for everywhere. A shorter one is redacted in its known places, but
// would also be found in unrelated words.
const shortest = 4

// redactor knows the secrets of one run. Secrets in known places are redacted when lines are formatted; the redactor finds them
// everywhere else, such as in the body of a server that repeats what it received.
type redactor struct {
	secrets []secret // longest first
}

// secret is one form of a secret.
type secret struct {
	text string
	any  *regexp.Regexp // matches it with any escaping of its characters; nil means it has only one form
	from int            // minimum length of a beginning that is redacted; 0 means only the whole secret is
}

// beginning is the minimum length of the beginning of a secret that is redacted if the rest is missing: servers truncate what they
// log.
const beginning = 8

// add adds s to the secrets, in all forms in which it may be repeated.
func (r *redactor) add(s string) {
	s = strings.TrimSpace(s)
	if len(s) < shortest {
		return
	}
	for _, form := range [...]secret{
		{s, escaped(s), beginning},
		{base64.StdEncoding.EncodeToString([]byte(s)), nil, beginning * 4 / 3},
		{base64.RawURLEncoding.EncodeToString([]byte(s)), nil, beginning * 4 / 3},
		{hex.EncodeToString([]byte(s)), nil, 2 * beginning},
	} {
		if !slices.ContainsFunc(r.secrets, func(known secret) bool { return known.text == form.text }) {
			r.secrets = append(r.secrets, form)
		}
	}
	slices.SortStableFunc(r.secrets, func(a, b secret) int { return cmp.Compare(len(b.text), len(a.text)) })
}

// maxEscaped limits the length of a secret that is searched for in all escaped forms, because the regular expression is many times
// as long.
const maxEscaped = 8 << 10

// entities are the HTML names of characters.
var entities = map[rune]string{'"': "quot", '\'': "apos", '&': "amp", '<': "lt", '>': "gt"}

// escaped returns a regular expression for s with each of its characters either unescaped or escaped for URLs, JSON and HTML. It
// returns nil if s has only letters and digits, which are never escaped.
func escaped(s string) *regexp.Regexp {
	var b strings.Builder
	plain := true
	for _, c := range s {
		if c < 0x80 && (unicode.IsLetter(c) || unicode.IsDigit(c) || strings.ContainsRune("-._~", c)) {
			b.WriteString(regexp.QuoteMeta(string(c)))
			continue
		}
		plain = false
		forms := []string{`\\?` + regexp.QuoteMeta(string(c)), "", "", fmt.Sprintf("&#(?:0*%d|x0*%x);", c, c)}
		for _, raw := range []byte(string(c)) {
			forms[1] += fmt.Sprintf("%%%02x", raw)
		}
		for _, unit := range utf16.Encode([]rune{c}) {
			forms[2] += fmt.Sprintf(`\\u%04x`, unit)
		}
		if name, ok := entities[c]; ok {
			forms = append(forms, "&"+name+";")
		}
		if c == ' ' {
			forms = append(forms, `\+`)
		}
		b.WriteString("(?i:" + strings.Join(forms, "|") + ")")
	}
	if plain || len(s) > maxEscaped {
		return nil
	}
	return regexp.MustCompile("(?i:" + b.String() + ")")
}

// text redacts the secrets in s, which the server has sent: those that are known, and those in URLs, which are the server's own.
func (r *redactor) text(s string) string { return r.known(redact.Text(s)) }

// known redacts the known secrets in s.
func (r *redactor) known(s string) string {
	for _, secret := range r.secrets {
		s = secret.hide(s)
		if secret.any != nil {
			s = secret.any.ReplaceAllLiteralString(s, redact.Mark)
		}
	}
	return s
}

// hide redacts the secret in s, ignoring case, and beginnings of it.
func (x secret) hide(s string) string {
	low, text := lowerASCII(s), lowerASCII(x.text)
	from := min(x.from, len(text))
	if from == 0 {
		from = len(text)
	}
	var out strings.Builder
	for {
		i := strings.Index(low, text[:from])
		if i < 0 {
			break
		}
		n := from
		for n < len(text) && i+n < len(low) && low[i+n] == text[n] {
			n++
		}
		out.WriteString(s[:i] + redact.Mark)
		s, low = s[i+n:], low[i+n:]
	}
	if out.Len() == 0 {
		return s
	}
	out.WriteString(s)
	return out.String()
}

// lowerASCII returns s with ASCII letters in lower case: it has the same length.
func lowerASCII(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// all redacts the secrets in every string that v, a pointer, leads to, and makes it safe for a terminal. It is applied to a whole
// report, so that no field can be forgotten. Fixed identifiers that programs compare are not changed, because a password may be a
// part of one.
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
			if !ourName(v.Type(), i) {
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

// ourName reports whether a field of a struct only holds values of a fixed list.
func ourName(t reflect.Type, i int) bool {
	switch f := t.Field(i); f.Type {
	case reflect.TypeFor[Fault](), reflect.TypeFor[Stage]():
		return true
	case reflect.TypeFor[string]():
		return slices.Contains([]string{"Opcode", "By", "How", "Clause"}, f.Name)
	}
	return false
}

// addField adds the value of a header to the secrets if its name indicates one.
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

// value returns the value of a header for display.
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
