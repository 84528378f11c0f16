package tree

import (
	"regexp"
	"strconv"
	"strings"
)

// YAML gives a meaning of its own to what addresses are made of: {127.0.0.1:9001} is a key with a value, and [::1]:9001 begins with a list.

// addressOf returns the address that an entry of a mapping was meant as, "" if it seems to be a key with its value. A host alone can be a
// key as well; then it is an address only if alone, that is, if the value may be given without a key.
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

// addressField returns the field that a word alone sets, if that is an address; otherwise nil.
func (s *shape) addressField() *Field {
	for _, f := range s.fields {
		if f.short && strings.Contains(wantOf(f.Type), "host:port") {
			return f
		}
	}
	return nil
}

// splitAddress returns the problem of an address in braces, which is read as a key with a value; nil when e is something else.
func splitAddress(e entry, alone bool, path string) *Problem {
	address := addressOf(e, alone)
	if address == "" {
		return nil
	}
	return &Problem{Pos: e.at, Path: path, Text: Quote(e.key) + " is read as a key and " + e.value.text + " as its value", Want: "the address in quotes: " + Quote(address)}
}

// bracketed is an address of IPv6 in brackets, without quotes.
var bracketed = regexp.MustCompile(`(?:^|[\s,\[{])((?:\w+://)?\[[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*\](?::\d+)?)`)

// keyBefore is the last key of a line.
var keyBefore = regexp.MustCompile(`(?:^|[\s{,])([A-Za-z_]+):(?:\s|$)`)

// bracketedAddress finds an address of IPv6 that is not in quotes, in a line where the parser has given up. at is where it begins, in
// characters from 1. key is the nearest one before it, "" if there is none in the lines up to there.
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
