package deflate

import "errors"

// ErrTooBig indicates that a message inflates to more than its limit. Inflation stops at the limit.
var ErrTooBig = errors.New("deflate: message is larger than the limit")

// errLost is the error of a direction that has lost its context: the previous message was not inflated completely.
var errLost = errors.New("deflate: the previous message was not read to its end, so the compression context is lost")

// CorruptError is the error for a payload that violates the format. The connection cannot continue: with context takeover all later
// messages would be wrong, too. All values are package variables, so that a hostile peer cannot cause allocations.
type CorruptError struct {
	Section string // the violated clause: "RFC 1951 §3.2.4"
	Detail  string
}

// Error implements error.
func (e *CorruptError) Error() string { return "deflate: " + e.Detail + " (" + e.Section + ")" }

// The possible violations.
var (
	ErrTruncated   = &CorruptError{"RFC 7692 §7.2.2", "payload ends within a block"}
	errBlockType   = &CorruptError{"RFC 1951 §3.2.3", "block of the reserved type"}
	errStored      = &CorruptError{"RFC 1951 §3.2.4", "length of a stored block and its complement disagree"}
	errCodeCount   = &CorruptError{"RFC 1951 §3.2.7", "more codes than the alphabet has"}
	errCodeLengths = &CorruptError{"RFC 1951 §3.2.7", "code lengths that do not form a prefix code"}
	errRepeat      = &CorruptError{"RFC 1951 §3.2.7", "code length repeated where there is none to repeat, or past the end"}
	errNoEnd       = &CorruptError{"RFC 1951 §3.2.7", "no code for the end of the block"}
	errSymbol      = &CorruptError{"RFC 1951 §3.2.6", "reserved symbol"}
	errDistance    = &CorruptError{"RFC 7692 §7.1.2", "match reaches back further than the window"}
)
