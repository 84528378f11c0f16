// Package binary contains only tests. They build the handfast binary and run it as a user would, in pipes and on a terminal, with
// separate home directories.
package binary
