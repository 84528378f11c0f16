//go:build !linux

package transport

// Watch is not available on this system.
type Watch struct{}

// Watch returns nil, since the system cannot report the arrival of bytes.
func (s *Stream) Watch(func()) *Watch { return nil }

// Arm returns false: the system cannot report the arrival of bytes.
func (w *Watch) Arm() bool { return false }

// Stop does nothing.
func (w *Watch) Stop() {}

// Unsent returns false: the system does not report the number of unacknowledged bytes.
func (s *Stream) Unsent() (n int, ok bool) { return 0, false }
