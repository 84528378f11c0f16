package certs

import (
	"errors"
	"io/fs"
	"os"
)

// Error describes a fault, and what to do about it.
type Error struct {
	Path string // the file or directory; for ACME the host of the certificate; or the name of an option
	Err  error  // the fault
	Hint string // the next step, a sentence without a full stop; may be ""
}

// Error returns the path and the fault. It does not include the hint, which the program can show separately.
func (e *Error) Error() string { return e.Path + ": " + e.Err.Error() }

// Unwrap returns e.Err.
func (e *Error) Unwrap() error { return e.Err }

// NextStep returns e.Hint.
func (e *Error) NextStep() string { return e.Hint }

// cause removes the path from an error of package os, because an [Error] contains it already.
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
