package tree

import (
	"encoding"
	"errors"
	"math"
	"reflect"
	"strconv"
	"strings"
)

// setText sets one value, or a list of such, from text.
func setText(v reflect.Value, text string) error {
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return u.UnmarshalText([]byte(text))
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		if text != "true" && text != "false" {
			return errors.New("neither true nor false")
		}
		v.SetBool(text == "true")
	case reflect.Int:
		n, err := strconv.ParseInt(text, 10, 64)
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

// splitList returns the parts of "a, b" or "[a, b]".
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
