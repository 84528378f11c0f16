package config

// Origins are the web origins whose pages may do something, in addition to the server's own. In the file: a list of origins, or the
// word any.
type Origins struct {
	Any  bool     // all origins
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

// Describe returns the label of the type in the reference, and the description of a valid value in messages.
func (Origins) Describe() (label, want string) {
	return "any, or a list of origins", "the word any, or a list of web origins"
}

// Word returns the word any.
func (o Origins) Word() (string, bool) { return "any", o.Any }

// SetWord sets the word any.
func (o *Origins) SetWord(word string) bool {
	*o = Origins{Any: word == "any"}
	return o.Any
}

// Parts returns a pointer to the list.
func (o *Origins) Parts() any { return &o.List }

// Hosts are the hosts that a listener accepts. In the file: a list of host names and IP addresses, or the word any.
type Hosts struct {
	Any  bool     // all hosts
	List []string // in lower case, without ports and brackets
}

// Describe returns the label of the type in the reference, and the description of a valid value in messages.
func (Hosts) Describe() (label, want string) {
	return "any, or a list of hosts", "the word any, or a list of host names and addresses without ports"
}

// Word returns the word any.
func (h Hosts) Word() (string, bool) { return "any", h.Any }

// SetWord sets the word any.
func (h *Hosts) SetWord(word string) bool {
	*h = Hosts{Any: word == "any"}
	return h.Any
}

// Parts returns a pointer to the list.
func (h *Hosts) Parts() any { return &h.List }

// AuthRef is a method in an endpoint's auth: a name, or an inline method. In the file it is a word, or a mapping as under auth.
type AuthRef struct {
	Name   string  // a name in Config.Auth, or Anonymous; "" if Method is set
	Method *Method // an inline method; nil if Name is set
}

// Describe returns the label of the type in the reference, and the description of a valid value in messages.
func (AuthRef) Describe() (label, want string) {
	return "method", "the name of a method under auth, " + Anonymous + ", or an inline method"
}

// Word returns the name.
func (r AuthRef) Word() (string, bool) { return r.Name, r.Method == nil }

// SetWord sets the name.
func (r *AuthRef) SetWord(word string) bool {
	*r = AuthRef{Name: word}
	return true
}

// Parts returns a pointer to the inline method.
func (r *AuthRef) Parts() any { return &r.Method }
