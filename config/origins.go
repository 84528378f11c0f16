package config

// Origins says which pages may do something besides those of the server's own origin. In the file: a list of origins, or
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
