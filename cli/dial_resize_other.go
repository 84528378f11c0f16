//go:build !unix

package cli

// onResize does nothing: no signal tells when the size of the terminal has changed.
func onResize(func()) (stop func()) { return func() {} }
