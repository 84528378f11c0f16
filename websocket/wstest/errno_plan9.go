package wstest

import "errors"

// The errors of a stream that the other end has reset or closed. Plan 9 has no error numbers for them.
var (
	errReset  = errors.New("connection reset by peer")
	errClosed = errors.New("broken pipe")
)
