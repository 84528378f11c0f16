// Package cli implements the command line of handfast. Each subcommand has its own file.
//
// Scripts can rely on the exit codes: 0 for success, 1 for a failure, 2 for an invalid command line, and 130 when an interrupt has ended
// explain before its result, or a second interrupt has cut an orderly shutdown short.
package cli
