package tree

import (
	"encoding"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/handfast/handfast/internal/redact"
)

// inline formats a value on one line of YAML, without defaults, and with secrets as [redacted]. It returns "" for an empty value, list
// or map.
func inline(v reflect.Value) string {
	if x := resolve(v); !x.IsValid() || (x.Kind() == reflect.Slice || x.Kind() == reflect.Map) && x.Len() == 0 {
		return ""
	}
	var b strings.Builder
	first := true // the next value is the first one of its mapping or list
	brackets := func(v reflect.Value) (open, end string) {
		switch x := resolve(v); {
		case isAtomic(x):
			return "", ""
		case x.Kind() == reflect.Slice:
			return "[", "]"
		}
		return "{", "}"
	}
	visit(node{value: v}, func(n node) bool {
		x := resolve(n.value)
		if n.field != nil && (!x.IsValid() || reflect.DeepEqual(n.value.Interface(), n.field.slot(fresh(n.in.Type())).Interface())) {
			return false
		}
		if !first {
			b.WriteString(", ")
		}
		first = false
		if n.key != "" {
			b.WriteString(yamlText(n.key) + ": ")
		}
		open, _ := brackets(n.value)
		b.WriteString(open)
		if isAtomic(x) {
			b.WriteString(atomYAML(x))
			return false
		}
		first = true
		return true
	}, func(n node) {
		_, end := brackets(n.value)
		b.WriteString(end)
		first = false
	})
	return b.String()
}

// isAtomic reports whether a value returned by settled has no parts.
func isAtomic(v reflect.Value) bool {
	return unionOf(v) != nil || isLeaf(v.Type()) || v.Kind() == reflect.Map && v.Type().Elem().Kind() != reflect.Pointer ||
		v.Kind() == reflect.Interface
}

// atomYAML formats a value without parts. The result never contains the text of a secret.
func atomYAML(v reflect.Value) string {
	if u := unionOf(v); u != nil {
		word, _ := u.Word()
		return yamlText(word)
	}
	if m, ok := v.Interface().(encoding.TextMarshaler); ok {
		return yamlText(oneText(m))
	}
	switch v.Kind() {
	case reflect.Bool, reflect.Int:
		return fmt.Sprint(v.Interface())
	case reflect.Float64:
		return strconv.FormatFloat(v.Float(), 'g', -1, 64)
	case reflect.String:
		return yamlText(hideInURL(v.String()))
	case reflect.Map:
		x := map[string]any{}
		for _, key := range keysOf(v) {
			x[key] = v.MapIndex(reflect.ValueOf(key)).Interface()
			if m, ok := x[key].(encoding.TextMarshaler); ok {
				x[key] = oneText(m)
			}
		}
		return anyYAML(x)
	}
	return anyYAML(v.Interface())
}

// oneText returns the text of a value.
func oneText(m encoding.TextMarshaler) string {
	text, err := m.MarshalText()
	if err != nil {
		return redact.Mark // does not happen with the types of this module
	}
	return string(text)
}

// anyYAML formats a value of any type, as returned by decoder.any, on one line.
func anyYAML(x any) string {
	switch x := x.(type) {
	case nil:
		return "null"
	case string:
		if notText.MatchString(x) {
			return "'" + x + "'" // without quotes, YAML would read another type
		}
		return yamlText(x)
	case []any:
		items := make([]string, len(x))
		for i, item := range x {
			items[i] = anyYAML(item)
		}
		return "[" + strings.Join(items, ", ") + "]"
	case map[string]any:
		var items []string
		for _, key := range slices.Sorted(maps.Keys(x)) {
			items = append(items, yamlText(key)+": "+anyYAML(x[key]))
		}
		return "{" + strings.Join(items, ", ") + "}"
	}
	return fmt.Sprint(x)
}

var (
	plain = regexp.MustCompile(`^[A-Za-z0-9/._][A-Za-z0-9/._+@=-]*(:[A-Za-z0-9/._+@=-]+)*$`)
	// notText matches plain text that YAML does not read as a string.
	notText = regexp.MustCompile(`^(~|null|Null|NULL|true|True|TRUE|false|False|FALSE|[-+.]?[0-9].*|\.(inf|nan|Inf|NaN).*)$`)
	// valueOf matches text such as a size or a duration: its type accepts the text without quotes even if YAML reads a number.
	valueOf = regexp.MustCompile(`^[0-9][0-9A-Za-z.:/]*$`)
)

// yamlText formats a string, with quotes if necessary.
func yamlText(s string) string {
	if plain.MatchString(s) && (!notText.MatchString(s) || valueOf.MatchString(s)) {
		return s
	}
	if strings.HasPrefix(s, ":") && plain.MatchString(s[1:]) {
		return s // an address such as :8443
	}
	if !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return "'" + strings.ReplaceAll(s, "'", "''") + "'"
	}
	return strconv.Quote(s)
}
