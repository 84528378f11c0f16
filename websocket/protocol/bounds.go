package protocol

// The bounds that a driver keeps, because they need its clock or its codec, and that no two drivers should keep
// differently (RFC 6455 §10.4: an endpoint protects itself from a peer that is too much).
const (
	// MaxFragments bounds a message that never ends. 16 MiB in frames of 128 bytes pass.
	MaxFragments = 1 << 17

	// MaxControls bounds the pings and unasked pongs that a peer may send in a second. Each costs us a write.
	MaxControls = 1000

	// PongRoom bounds, in bytes, the pongs that wait to be sent to a peer that does not read.
	PongRoom = 4 << 10

	// NewMemory is how many times as much as has come of a message is allocated for all of it, and PooledMemory how many
	// times as much is taken from what is in a pool and costs nothing new.
	NewMemory    = 4
	PooledMemory = 16
)

// Room returns how much memory to have for a message of which here bytes have come and left are announced: times as much
// as has come, at most. A length that a peer announces costs no memory by itself.
func Room(here int, left int64, times int) int { return here + int(min(left, int64((times-1)*here))) }

// TooManyControls fails the connection for more than MaxControls in a second. Its error is as Step's, like that of the
// two below.
func (m *Machine) TooManyControls() error {
	return m.Fail(violation("§10.4", codePolicy, "more than 1000 control frames in a second"))
}

// InflatesTooBig fails the connection for a compressed message of which the application would get more than the limit.
func (m *Machine) InflatesTooBig() error {
	return m.Fail(violation("§10.4", codeTooBig, "a message that inflates to more bytes than are accepted here"))
}

// CannotInflate fails the connection for a compressed message that breaks a clause of its codec.
func (m *Machine) CannotInflate(section, detail string) error {
	return m.Fail(&Violation{section, codeInvalidData, "a compressed message that cannot be inflated: " + detail})
}
