// Package tree handles configurations defined by structs: it decodes the structs from YAML, environment variables and flags,
// checks them, compares them, and generates their documentation. All knowledge of keys is in the tags of the structs.
//
// The tags of a field define its key:
//
//	yaml:"key"        the key
//	default:"text"    the value if the key is not given, as written in a document
//	required:"true"   the key must be given
//	enum:"a|b|c"      the allowed values
//	min:"n", max:"n"  the bounds of a number, a size or a duration
//	only:"one"        on a struct's first field: exactly one of the struct's keys is given
//	example:"text"    a value for the example file; for a kind in a map, the name of its sample
//	short:"true"      a value in place of the struct sets this key: "tls: off"
//	made:"true"       the value is the path of a file that the program creates; other paths must name existing files
//	id:"true"         the value identifies an item of a list in [Diff]
//
// Numbers, strings, lists, maps and structs need no methods. Other types implement [Scalar], [Union] or [Choice]; [Hidden] and
// [Local] extend a Scalar. All functions walk over the values with [visit].
package tree
