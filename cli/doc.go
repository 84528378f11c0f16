// Package cli is the command line of handfast: one file a subcommand, flags in, an exit code out.
//
// The exit codes are those that scripts rely on: 0 when all went well, 1 when something failed, 2 when the command was
// not understood, 130 when a second interrupt cut an orderly end short.
package cli
