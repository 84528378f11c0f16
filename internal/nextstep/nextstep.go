// Package nextstep finds out what to do after an error, whatever package the error is from.
package nextstep

import "errors"

// Of returns the next step after err, a sentence without a full stop, or "" if err does not know one. An error knows it if it, or an
// error that it wraps, has a method NextStep.
func Of(err error) string {
	if e, ok := errors.AsType[interface {
		error
		NextStep() string
	}](err); ok {
		return e.NextStep()
	}
	return ""
}
