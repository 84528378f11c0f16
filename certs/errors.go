package certs

import (
	"errors"
	"io/fs"
	"os"
)

// Error says what is in the way, and what to do about it.
type Error struct {
	Path string // the file or directory; for ACME the host that the certificate is for; or which of the options
	Err  error  // what is wrong with it
	Hint string // the next step, a sentence without a full stop; may be empty
}

// Error names the file and what is wrong with it. The hint is not in it: it is for the program to show.
func (e *Error) Error() string { return e.Path + ": " + e.Err.Error() }

// Unwrap returns e.Err.
func (e *Error) Unwrap() error { return e.Err }

// NextStep returns e.Hint.
func (e *Error) NextStep() string { return e.Hint }

// cause takes the path off an error of package os: an [Error] names it already.
func cause(err error) error {
	var path *fs.PathError
	var link *os.LinkError
	switch {
	case errors.As(err, &path):
		return path.Err
	case errors.As(err, &link):
		return link.Err
	}
	return err
}
