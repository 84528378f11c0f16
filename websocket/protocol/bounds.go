package protocol

// The limits that a driver enforces because they need its clock or its codec, defined here so that they are the same in all drivers
// (RFC 6455 §10.4: an endpoint protects itself from excessive data).
const (
	// MaxFragments is the maximum number of frames in a message. 16 MiB in frames of 128 bytes are within it.
	MaxFragments = 1 << 17

	// MaxControls is the maximum number of pings and unsolicited pongs that a peer may send in a second. Each may cost a write.
	MaxControls = 1000

	// PongRoom is the maximum size, in bytes, of the pongs that wait for a peer that does not read.
	PongRoom = 4 << 10

	// NewMemory is the maximum ratio of the memory that is allocated for a message to the bytes that have arrived, and PooledMemory
	// is the same for pooled memory, which needs no allocation.
	NewMemory    = 4
	PooledMemory = 16
)

// Room returns how much memory to provide for a message of which here bytes have arrived and left are announced: at most times as
// much as has arrived. An announced length alone uses no memory.
func Room(here int, left int64, times int) int { return here + int(min(left, int64((times-1)*here))) }

// TooManyControls fails the connection for more than MaxControls control frames in a second. It returns an error like Step's, as
// the two methods below do.
func (m *Machine) TooManyControls() error {
	return m.Fail(violation("§10.4", codePolicy, "more than 1000 control frames in a second"))
}

// InflatesTooBig fails the connection for a compressed message that exceeds the limit after decompression.
func (m *Machine) InflatesTooBig() error {
	return m.Fail(violation("§10.4", codeTooBig, "a message that decompresses to more bytes than the limit"))
}

// CannotInflate fails the connection for a compressed message that violates a clause of its codec.
func (m *Machine) CannotInflate(section, detail string) error {
	return m.Fail(&Violation{section, codeInvalidData, "a compressed message that cannot be decompressed: " + detail})
}
