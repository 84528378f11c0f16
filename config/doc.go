// Package config is the configuration of a server: one tree of structs, [Config].
//
// [Load] fills it from, in this order, the defaults, a YAML file, environment variables that begin with HANDFAST_, and
// flags. It is strict: an unknown key is an error, which names file, line and column, the key, what was expected there and
// the key that may have been meant. All problems of a file are reported together, in an [*Error].
//
// The keys are in the files keys*.go and target*.go. The comments on their fields are what users read in the reference
// (docs/config.md), in the example (docs/handfast.example.yaml) and in "handfast config doc"; "go generate ./config" writes
// the documents again. Package config/internal/tree has the meaning of the fields' tags.
package config
