package config

import (
	"fmt"
	"iter"
	"maps"
	"slices"
)

// Methods yields every method with its path, such as auth.users or endpoints[0].auth[1]: those under auth, and those in
// place.
func (c *Config) Methods() iter.Seq2[string, *Method] {
	return func(yield func(string, *Method) bool) {
		for _, name := range slices.Sorted(maps.Keys(c.Auth)) {
			if !eachMethod("auth."+name, c.Auth[name], yield) {
				return
			}
		}
		for i, e := range c.Endpoints {
			if !eachInPlace(fmt.Sprintf("endpoints[%d].auth", i), e.Auth, yield) {
				return
			}
		}
		eachInPlace("logout.auth", c.Logout.Auth, yield)
	}
}

func eachInPlace(path string, refs []AuthRef, yield func(string, *Method) bool) bool {
	for i, ref := range refs {
		if ref.Method != nil && !eachMethod(fmt.Sprintf("%s[%d]", path, i), ref.Method, yield) {
			return false
		}
	}
	return true
}

func eachMethod(path string, m *Method, yield func(string, *Method) bool) bool {
	if m == nil {
		return true // it could not be read
	}
	if !yield(path, m) {
		return false
	}
	return m.Ticket == nil || eachInPlace(path+".ticket.auth", m.Ticket.Auth, yield)
}
