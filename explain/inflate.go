package explain

import (
	"bytes"
	"compress/flate"
	"errors"
	"io"
)

const (
	windowSize  = 32 << 10 // RFC 1951 §2
	maxInflated = 16 << 20 // the number of bytes after which the inflation of a message stops
)

// errLost means that a message cannot be inflated, because an earlier message was not inflated completely.
var errLost = errors.New("an earlier message was too large to inflate")

// inflater inflates the server's messages (RFC 7692 §7.2.2). It keeps the window that the next message may refer to.
type inflater struct {
	noTakeover bool // the server does not use context takeover
	window     []byte
	r          io.ReadCloser
	windowLost bool // window is not the server's, because a message was not inflated completely
}

// message inflates one message. It returns the first keepPayload bytes, and the total size up to about maxInflated.
func (f *inflater) message(b []byte) (plain []byte, size int64, err error) {
	if f.windowLost && !f.noTakeover {
		return nil, 0, errLost
	}
	f.windowLost = false
	// RFC 7692 §7.2.2: "Append 4 octets of 0x00 0x00 0xff 0xff to the tail end of the payload". A final, empty block after these octets
	// completes the stream.
	in := io.MultiReader(bytes.NewReader(b), bytes.NewReader([]byte{0, 0, 0xff, 0xff, 1, 0, 0, 0xff, 0xff}))
	if f.r == nil {
		f.r = flate.NewReaderDict(in, f.window)
	} else if err := f.r.(flate.Resetter).Reset(in, f.window); err != nil {
		return nil, 0, err
	}
	chunk := make([]byte, windowSize)
	for {
		n, err := f.r.Read(chunk)
		size += int64(n)
		if room := keepPayload - len(plain); room > 0 {
			plain = append(plain, chunk[:min(n, room)]...)
		}
		if !f.noTakeover {
			f.window = append(f.window, chunk[:n]...)
			if over := len(f.window) - windowSize; over > 0 {
				f.window = append(f.window[:0], f.window[over:]...)
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return plain, size, nil
		case err != nil:
			return plain, size, err
		case size > maxInflated:
			f.windowLost = true
			return plain, size, nil
		}
	}
}
