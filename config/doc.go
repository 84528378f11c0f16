// Package config defines the configuration of a server: one tree of structs, [Config].
//
// [Load] reads the configuration from the defaults, a YAML file, environment variables that begin with HANDFAST_, and flags, in this order.
// [Load] is strict: an unknown key is an error that contains the file, line and column, the key, and a similar known key. All problems of a
// file are reported together, in an [*Error].
//
// The keys are in the files keys*.go and target*.go. The comments on their fields are what users read in the reference
// (docs/config.md), in the example (docs/handfast.example.yaml) and in "handfast config doc"; "go generate ./config" updates these
// documents. Package config/internal/tree defines the tags of the fields.
package config
