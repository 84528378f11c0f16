// Package binary has no code: its tests build the handfast binary and run it as a user would, in pipes and on a
// terminal, with a home directory of its own.
package binary
