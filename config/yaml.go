package config

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

// scalarYAML writes one value as it may stand in a file. The text of a secret is not in it.
func scalarYAML(v reflect.Value) string {
	if m, ok := v.Interface().(encoding.TextMarshaler); ok && v.Type() != reflect.TypeFor[Prefix]() {
		text, err := m.MarshalText()
		if err != nil {
			return redact.Mark // none of ours fails
		}
		return yamlText(string(text))
	}
	switch v.Kind() {
	case reflect.Bool, reflect.Int, reflect.Int64:
		return fmt.Sprint(v.Interface())
	case reflect.Float64:
		return strconv.FormatFloat(v.Float(), 'g', -1, 64)
	case reflect.String:
		return yamlText(hideInURL(v.String()))
	}
	return yamlText(fmt.Sprint(v.Interface()))
}

var (
	plain = regexp.MustCompile(`^[A-Za-z0-9/._][A-Za-z0-9/._+@=-]*(:[A-Za-z0-9/._+@=-]+)*$`)
	// notText would be read as something else than a text.
	notText = regexp.MustCompile(`^(~|null|Null|NULL|true|True|TRUE|false|False|FALSE|[-+.]?[0-9].*|\.(inf|nan|Inf|NaN).*)$`)
	// valueOf is what stands for a number or a time in a file anyhow: none of our texts is misread when it is plain.
	valueOf = regexp.MustCompile(`^[0-9][0-9A-Za-z.:/]*$`)
)

// anyYAML writes a value of whatever kind, in one line: what decoder.any returns.
func anyYAML(x any) string {
	switch x := x.(type) {
	case nil:
		return "null"
	case string:
		if notText.MatchString(x) {
			return "'" + x + "'" // a number or the like, that is a text because of its quotes
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

// yamlText writes a text, with quotes where it needs them.
func yamlText(s string) string {
	if plain.MatchString(s) && (!notText.MatchString(s) || valueOf.MatchString(s)) {
		return s
	}
	if strings.HasPrefix(s, ":") && plain.MatchString(s[1:]) {
		return s // :8443
	}
	if !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return "'" + strings.ReplaceAll(s, "'", "''") + "'"
	}
	return strconv.Quote(s)
}
