package protocol

// These limits are enforced by a driver because they require its clock or its codec. They are defined here so that they are the
// same in all drivers (RFC 6455 §10.4: an endpoint protects itself from excessive data).
const (
	// MaxFragments is the maximum number of frames in a message. It permits 16 MiB in frames of 128 bytes.
	MaxFragments = 1 << 17

	// MaxControls is the maximum number of pings and unsolicited pongs that a peer may send in a second. Each of them may require a write.
	MaxControls = 1000

	// PongRoom is the maximum size, in bytes, of the queued pongs for a peer that does not read.
	PongRoom = 4 << 10

	// NewMemory is the maximum ratio of the memory that is allocated for a message to the bytes that have arrived. PooledMemory is
	// the same ratio for pooled memory, which requires no allocation.
	NewMemory    = 4
	PooledMemory = 16
)

// Room returns the number of bytes to allocate for a message of which here bytes have arrived and left bytes are missing: at most
// here*times, so that an announced length alone uses no memory.
func Room(here int, left int64, times int) int { return here + int(min(left, int64((times-1)*here))) }

// TooManyControls fails the connection because the peer has sent more than MaxControls control frames in a second. The error is a
// *Violation, as from Step.
func (m *Machine) TooManyControls() error {
	return m.Fail(violation("§10.4", codePolicy, "more than 1000 control frames in a second"))
}

// InflatesTooBig fails the connection because of a compressed message that exceeds the limit after decompression.
func (m *Machine) InflatesTooBig() error {
	return m.Fail(violation("§10.4", codeTooBig, "a message that decompresses to more bytes than the limit"))
}

// CannotInflate fails the connection because of a compressed message that violates a clause of its codec.
func (m *Machine) CannotInflate(section, detail string) error {
	return m.Fail(&Violation{section, codeInvalidData, "a compressed message that cannot be decompressed: " + detail})
}
