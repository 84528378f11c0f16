// Package config is what a server can be told: one tree of structs, [Config].
//
// [Load] fills it from, in this order, the defaults, a YAML file, environment variables that begin with HANDFAST_, and
// flags. It is strict: a key that it does not know is an error, which names file, line and column, the key, what was
// expected there and the key that may have been meant. All problems of a file are told at once, in an [*Error].
//
// The comments on the fields are what people read in the reference (docs/config.md), in the example
// (docs/handfast.example.yaml) and in "handfast config doc"; "go generate ./config" writes those again. A field's tags
// say the rest:
//
//	yaml:"key"        its key
//	default:"text"    its value when nothing is said, in the form that it has in the file
//	required:"true"   it must be given
//	enum:"a|b|c"      the values that it may have
//	min:"n", max:"n"  the bounds of a number, a size or a duration
//	only:"one"        on a struct's first field: exactly one of the struct's keys is given
//	example:"text"    a value for the example file, where the default says little
//	short:"true"      a value in place of the struct sets this key: "tls: off"
//
// The key of a [Secret] has another one beside it, with _file behind its name: a file that holds the secret.
package config
