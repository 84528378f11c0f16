package protocol

// Broken is how a connection ended whose stream broke off: no close frame came, or none in answer to ours. Its text is made
// when it is asked for, since connections that break off are common, and their errors are mostly thrown away.
type Broken struct {
	Where   string // as Within says it
	Closing bool   // our close frame had been sent
	Err     error  // what the stream said
}

// Error says where the stream ended, and what it said.
func (b *Broken) Error() string {
	switch {
	case b.Closing:
		return "the stream ended without an answer to the close frame: " + b.Err.Error()
	case b.Where == "":
		return "the stream ended between messages, without a close frame: " + b.Err.Error()
	}
	return "the stream ended " + b.Where + ", without a close frame: " + b.Err.Error()
}

// Unwrap returns what the stream said.
func (b *Broken) Unwrap() error { return b.Err }
