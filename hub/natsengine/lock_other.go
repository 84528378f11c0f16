//go:build !unix || solaris || aix

package natsengine

// lock does nothing on systems without file locks.
func lock(string) (unlock func(), err error) { return func() {}, nil }
