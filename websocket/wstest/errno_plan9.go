package wstest

import "errors"

// What a stream returns when the other end has broken it off, or has closed it. Plan 9 has no numbers for them.
var (
	errReset  = errors.New("connection reset by peer")
	errClosed = errors.New("broken pipe")
)
