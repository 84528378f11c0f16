package config

// Origins are the pages that may do something, in addition to those of the server's own origin. In the file: a list of origins, or
// the word any.
type Origins struct {
	Any  bool     // all pages
	List []Origin // without a path and without wildcards
}

// Strings returns the list.
func (o Origins) Strings() []string {
	var list []string
	for _, origin := range o.List {
		list = append(list, string(origin))
	}
	return list
}

// Describe returns the label of the type in the reference, and what a message about a mistake says was expected.
func (Origins) Describe() (label, want string) {
	return "any, or a list of origins", "a list of web origins, or any"
}

// Word returns the word any.
func (o Origins) Word() (string, bool) { return "any", o.Any }

// SetWord takes the word any.
func (o *Origins) SetWord(word string) bool {
	*o = Origins{Any: word == "any"}
	return o.Any
}

// Parts returns the list.
func (o *Origins) Parts() any { return &o.List }

// Hosts are the hosts of requests that a listener answers. In the file: a list of host names and IP addresses, or the word any.
type Hosts struct {
	Any  bool     // all
	List []string // in lower case, without ports and brackets
}

// Describe returns the label of the type in the reference, and what a message about a mistake says was expected.
func (Hosts) Describe() (label, want string) {
	return "any, or a list of hosts", "a list of host names and addresses without ports, or any"
}

// Word returns the word any.
func (h Hosts) Word() (string, bool) { return "any", h.Any }

// SetWord takes the word any.
func (h *Hosts) SetWord(word string) bool {
	*h = Hosts{Any: word == "any"}
	return h.Any
}

// Parts returns the list.
func (h *Hosts) Parts() any { return &h.List }

// AuthRef is a method in an endpoint's auth: the name of one, or one in place. In the file it is a word, or a mapping as
// under auth.
type AuthRef struct {
	Name   string  // of one in Config.Auth, or Anonymous; "" when Method is set
	Method *Method // in place; nil when Name is set
}

// Describe returns the label of the type in the reference, and what a message about a mistake says was expected.
func (AuthRef) Describe() (label, want string) {
	return "method", "the name of a method under auth, " + Anonymous + ", or an inline method"
}

// Word returns the name.
func (r AuthRef) Word() (string, bool) { return r.Name, r.Method == nil }

// SetWord takes a name.
func (r *AuthRef) SetWord(word string) bool {
	*r = AuthRef{Name: word}
	return true
}

// Parts returns the method in place.
func (r *AuthRef) Parts() any { return &r.Method }
