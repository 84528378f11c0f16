package tree

import (
	"encoding"
	"errors"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// setText sets a value without parts, or a list of such values, from text.
func setText(v reflect.Value, text string) error {
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return u.UnmarshalText([]byte(text))
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		if !isTrue(text) && !IsFalse(text) {
			return errors.New("neither true nor false")
		}
		v.SetBool(isTrue(text))
	case reflect.Int:
		n, err := strconv.ParseInt(text, 10, 64)
		if errors.Is(err, strconv.ErrRange) {
			return errors.New("too large or too small")
		}
		if err != nil {
			return errors.New("not a whole number")
		}
		v.SetInt(n)
	case reflect.Float64:
		n, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsNaN(n) || math.IsInf(n, 0) {
			return errors.New("not a number")
		}
		v.SetFloat(n)
	default: // a list
		v.SetZero()
		for _, part := range splitList(text) {
			item := reflect.New(v.Type().Elem()).Elem()
			if err := setText(item, part); err != nil {
				return err
			}
			v.Set(reflect.Append(v, item))
		}
	}
	return nil
}

// isTrue reports whether YAML 1.1 reads a text as true. Programs that process YAML 1.1, such as Helm and PyYAML, replace on with true and
// off with false.
func isTrue(text string) bool { return anyCase(text, "true", "yes", "on") }

// IsFalse reports whether YAML 1.1 reads a text as false. off is one of these texts.
func IsFalse(text string) bool { return anyCase(text, "false", "no", "off") }

// anyCase reports whether a text is one of words in lower case, in upper case or with a capital, as YAML 1.1 allows.
func anyCase(text string, words ...string) bool {
	for _, w := range words {
		if text == w || text == strings.ToUpper(w) || text == strings.ToUpper(w[:1])+w[1:] {
			return true
		}
	}
	return false
}

// wordOf returns what a text without quotes means as the value of a field. A text that YAML 1.1 reads as false means "off" if off is
// an allowed value, and "" if the value is a name. Any other text is returned unchanged.
func (f *Field) wordOf(text string) string {
	switch {
	case f == nil || !IsFalse(text):
	case slices.Contains(f.Enum, "off"):
		return "off"
	case f.takesName():
		return ""
	}
	return text
}

// takesName reports whether a field is a name that may be given as a single word in place of a mapping, as in "sticky: COOKIE".
func (f *Field) takesName() bool {
	return f != nil && f.short && len(f.Enum) == 0 && f.Type.Kind() == reflect.String && !isScalar(f.Type)
}

// booleanForText returns what was expected if a field that takes a text is given a boolean without quotes, as in "sticky: true" or "file:
// true", which would otherwise name a cookie or a file; "" if the value is acceptable. If names returns true for the field, all texts
// that YAML 1.1 reads as true are rejected.
func booleanForText(n node, g *given) string {
	f, t := n.field, n.value.Type()
	if f != nil && (f.expression || len(f.Enum) > 0) {
		return ""
	}
	_, boolean := g.value.(bool)
	x := reflect.New(t)
	_, hidden := x.Interface().(Hidden)
	switch {
	case f.takesName():
		boolean = isTrue(g.text)
	case hidden:
	// Otherwise the value is not text, and decoding it accepts the boolean or reports a more helpful error.
	case t.Kind() != reflect.String || setText(x.Elem(), g.text) != nil || x.Elem().String() != g.text:
		return ""
	}
	if !boolean {
		return ""
	}
	want := wantOf(t)
	if f != nil && f.Example != "" && !isScalar(t) {
		want += ", such as " + f.Example
	}
	if f.takesName() {
		want += ", or off"
	}
	return want
}

// splitList splits "a, b" or "[a, b]".
func splitList(text string) []string {
	text = strings.TrimSpace(text)
	if inner, ok := strings.CutPrefix(text, "["); ok {
		text = strings.TrimSuffix(inner, "]")
	}
	var parts []string
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part != "" {
			parts = append(parts, part)
		}
	}
	return parts
}
