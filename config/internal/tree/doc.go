// Package tree handles a configuration that consists of arbitrary structs: it decodes them from YAML, environment variables and
// flags, checks them, compares them, and generates their documentation. It does not know any keys.
//
// The tags of a field define its key:
//
//	yaml:"key"        its key
//	default:"text"    its value when none is given, in the form that it has in a document
//	required:"true"   it must be given
//	enum:"a|b|c"      the values that it may have
//	min:"n", max:"n"  the bounds of a number, a size or a duration
//	only:"one"        on a struct's first field: exactly one of the struct's keys is given
//	example:"text"    a value for the example file; for a kind in a map, the name of its sample
//	short:"true"      a value in place of the struct sets this key: "tls: off"
//	made:"true"       it is the path of what the program makes; other paths are of files that have to be there
//	id:"true"         it names an item of a list in [Diff]
//
// A type that is more than a number, a string, a list, a map or a struct of these implements one of the interfaces [Scalar],
// [Union] and [Choice]; [Hidden] and [Local] extend a Scalar. Everything else is one walk over the values, [visit], with a
// different function for each purpose.
package tree
