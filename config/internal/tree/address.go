package tree

import (
	"regexp"
	"strconv"
	"strings"
)

// YAML gives addresses without quotes another meaning: {127.0.0.1:9001} is a key with a value, and [::1]:9001 begins with a list.

// addressOf returns the address that was probably meant by an entry of a mapping, or "" if the entry seems to be a key with its value. A
// single word may be a key or a host; it is read as a host only if alone is true, that is, where an address is allowed without a key.
func addressOf(e entry, alone bool) string {
	if e.value == nil || e.value.kind != scalar || e.value.quoted {
		return ""
	}
	host := e.key[strings.LastIndex(e.key, "/")+1:]
	if !alone && !strings.ContainsAny(host, ".") && host == e.key && host != "localhost" {
		return ""
	}
	if _, err := strconv.ParseUint(e.value.text, 10, 16); err != nil || host == "" {
		return ""
	}
	return e.key + ":" + e.value.text
}

// addressField returns the field that a value in place of the struct sets, if the field is an address; otherwise nil.
func (s *shape) addressField() *Field {
	for _, f := range s.fields {
		if f.short && strings.Contains(wantOf(f.Type), "host:port") {
			return f
		}
	}
	return nil
}

// splitAddress returns a problem if e is an address that YAML reads as a key with a value; otherwise nil.
func splitAddress(e entry, alone bool, path string) *Problem {
	address := addressOf(e, alone)
	if address == "" {
		return nil
	}
	return &Problem{Pos: e.at, Path: path, Text: Quote(e.key) + " is read as a key and " + e.value.text + " as its value", Want: "the address in quotes: " + Quote(address)}
}

// bracketed matches an IPv6 address in brackets, without quotes.
var bracketed = regexp.MustCompile(`(?:^|[\s,\[{])((?:\w+://)?\[[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*\](?::\d+)?)`)

// keyBefore matches a key and its colon.
var keyBefore = regexp.MustCompile(`(?:^|[\s{,])([A-Za-z_]+):(?:\s|$)`)

// bracketedAddress finds an IPv6 address without quotes in the line at which the parser has failed. at is the address's column,
// counted in characters from 1. key is the nearest key before the address, or "" if there is no key.
func bracketedAddress(before []string, line string) (address, key string, at int) {
	m := bracketed.FindStringSubmatchIndex(line)
	if m == nil {
		return "", "", 0
	}
	address, at = line[m[2]:m[3]], len([]rune(line[:m[2]]))+1
	if keys := keyBefore.FindAllStringSubmatch(line[:m[2]], -1); len(keys) > 0 {
		return address, keys[len(keys)-1][1], at
	}
	indent := func(s string) int { return len(s) - len(strings.TrimLeft(s, " ")) }
	for i := len(before) - 1; i >= 0; i-- {
		if keys := keyBefore.FindAllStringSubmatch(before[i], -1); len(keys) > 0 && indent(before[i]) <= indent(line) {
			return address, keys[len(keys)-1][1], at
		}
	}
	return address, "", at
}
