package protocol

// Broken is the error of a stream that ended without a closing handshake: the peer sent no close frame, or did not reply to ours.
// Its message is formatted on demand, since such errors are frequent and most of them are discarded.
type Broken struct {
	Where   string // the position in the stream: the result of Machine.Within
	Closing bool   // our close frame had been sent
	Err     error  // the error of the stream
}

// Error returns the position at which the stream ended, and its error.
func (b *Broken) Error() string {
	switch {
	case b.Closing:
		return "the stream ended without an answer to the close frame: " + b.Err.Error()
	case b.Where == "":
		return "the stream ended between messages, without a close frame: " + b.Err.Error()
	}
	return "the stream ended " + b.Where + ", without a close frame: " + b.Err.Error()
}

// Unwrap returns the error of the stream.
func (b *Broken) Unwrap() error { return b.Err }
