package resume

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
)

// object iterates over the members of an encoded JSON object. It validates only as much as it needs to find the end of a value.
type object struct {
	text []byte
	i    int
	bad  bool // not an object, or truncated
}

// objectOf returns an iterator over text.
func objectOf(text []byte) object {
	o := object{text: text}
	o.enter()
	return o
}

// next returns the next member: its name without quotes, and its value, both still escaped. It returns false at the end.
func (o *object) next() (name, value []byte, ok bool) {
	if name, ok = o.name(); ok {
		value = o.take()
	}
	return name, value, ok && !o.bad
}

// name returns the name of the next member. The caller must then call take or enter.
func (o *object) name() (name []byte, ok bool) {
	if o.bad {
		return nil, false
	}
	o.skipSpace()
	if o.peek(',') {
		o.i++
		o.skipSpace()
	}
	if o.peek('}') {
		o.i++
		return nil, false
	}
	from := o.i
	o.skipString()
	if o.bad {
		return nil, false
	}
	name = o.text[from+1 : o.i-1]
	o.skipSpace()
	if o.bad = !o.peek(':'); o.bad {
		return nil, false
	}
	o.i++
	o.skipSpace()
	return name, true
}

// take returns the current value, and advances past it.
func (o *object) take() []byte {
	from := o.i
	o.skipValue()
	return o.text[from:o.i]
}

// enter enters the current value if it is an object, and reports whether it is. After the end of the inner object, the iteration
// continues in the outer object.
func (o *object) enter() bool {
	o.skipSpace()
	if o.bad = o.bad || !o.peek('{'); !o.bad {
		o.i++
	}
	return !o.bad
}

func (o *object) peek(c byte) bool { return o.i < len(o.text) && o.text[o.i] == c }

func (o *object) skipSpace() {
	for o.i < len(o.text) && (o.text[o.i] == ' ' || o.text[o.i] == '\n' || o.text[o.i] == '\t' || o.text[o.i] == '\r') {
		o.i++
	}
}

// skipString skips a string.
func (o *object) skipString() {
	if o.bad = !o.peek('"'); o.bad {
		return
	}
	for o.i++; ; {
		n := bytes.IndexByte(o.text[o.i:], '"')
		if o.bad = n < 0; o.bad {
			return
		}
		o.i += n + 1
		escapes := 0
		for o.text[o.i-2-escapes] == '\\' {
			escapes++
		}
		if escapes%2 == 0 {
			return
		}
	}
}

// skipValue skips a value.
func (o *object) skipValue() {
	depth := 0
	for from := o.i; o.i < len(o.text); {
		switch c := o.text[o.i]; c {
		case '"':
			if o.skipString(); o.bad || depth == 0 {
				return
			}
			continue
		case '{', '[':
			depth++
		case '}', ']', ',', ' ', '\n', '\t', '\r':
			if depth == 0 { // the value was a number or a literal
				o.bad = o.i == from
				return
			}
			if c == '}' || c == ']' {
				if depth--; depth == 0 {
					o.i++
					return
				}
			}
		}
		o.i++
	}
	o.bad = true
}

// textOf returns a value if it is a string.
func textOf(value []byte) (string, bool) {
	if raw, ok := unquoted(value); ok {
		return string(raw), true
	}
	var s string
	return s, json.Unmarshal(value, &s) == nil
}

// unquoted returns the content of a string, if the string contains no escapes.
func unquoted(value []byte) ([]byte, bool) {
	if len(value) < 2 || value[0] != '"' || bytes.IndexByte(value, '\\') >= 0 {
		return nil, false
	}
	return value[1 : len(value)-1], true
}

// number returns a value if it is an unsigned integer.
func number(value []byte) (n uint64, ok bool) {
	if len(value) == 0 || len(value) > 20 {
		return 0, false
	}
	for _, c := range value {
		d := uint64(c - '0')
		if c < '0' || c > '9' || n > (1<<64-1-d)/10 {
			return 0, false
		}
		n = 10*n + d
	}
	return n, true
}

// withMember returns the object text with one more member at its end. text must have a member already. Of members with the same
// name, the last one counts.
func withMember(text []byte, name string, value []byte) []byte {
	text = bytes.TrimRight(text, " \n\t\r")
	end := len(text) - 1
	b := make([]byte, 0, len(text)+len(name)+len(value)+4)
	b = append(b, text[:end]...)
	b = append(b, ',', '"')
	b = append(b, name...)
	b = append(b, '"', ':')
	b = append(b, value...)
	return append(b, '}')
}

// withoutMembers returns the object text without some members, and false if their names may be hidden by escapes. As in
// encoding/json, case is ignored.
func withoutMembers(text []byte, names ...string) ([]byte, bool) {
	b := []byte{'{'}
	o := objectOf(text)
	for name, value, ok := o.next(); ok; name, value, ok = o.next() {
		if bytes.IndexByte(name, '\\') >= 0 {
			return nil, false
		}
		if slices.ContainsFunc(names, func(n string) bool { return bytes.EqualFold(name, []byte(n)) }) {
			continue
		}
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = append(b, '"')
		b = append(b, name...)
		b = append(b, '"', ':')
		b = append(b, value...)
	}
	return append(b, '}'), !o.bad
}

// number64 returns a number in JSON.
func number64(n uint64) []byte { return strconv.AppendUint(nil, n, 10) }

// replaceAt returns the object text with the value at path replaced by the result of f for it. "*" means each element of an array,
// and the last name is that of a member. text is not modified.
func replaceAt(text []byte, f func(value []byte) []byte, path ...string) []byte {
	if len(path) == 0 {
		return f(text)
	}
	if path[0] == "*" {
		return eachElement(text, func(value []byte) []byte { return replaceAt(value, f, path[1:]...) })
	}
	var b []byte
	done := 0
	o := objectOf(text)
	for name, value, ok := o.next(); ok; name, value, ok = o.next() {
		if string(name) != path[0] {
			continue
		}
		b = append(b, text[done:o.i-len(value)]...)
		b = append(b, replaceAt(value, f, path[1:]...)...)
		done = o.i
	}
	if o.bad || done == 0 {
		return text
	}
	return append(b, text[done:]...)
}

// eachElement returns an array with each element replaced by the result of f.
func eachElement(text []byte, f func(value []byte) []byte) []byte {
	o := object{text: text}
	if o.skipSpace(); !o.peek('[') {
		return text
	}
	o.i++
	b, done := []byte(nil), 0
	for {
		o.skipSpace()
		if o.peek(',') {
			o.i++
			o.skipSpace()
		}
		if o.peek(']') {
			return append(b, text[done:]...)
		}
		from := o.i
		if o.skipValue(); o.bad {
			return text
		}
		b = append(b, text[done:from]...)
		b = append(b, f(text[from:o.i])...)
		done = o.i
	}
}
