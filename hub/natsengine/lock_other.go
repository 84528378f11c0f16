//go:build !unix || solaris || aix

package natsengine

// lock does nothing where files cannot be locked.
func lock(string) (unlock func(), err error) { return func() {}, nil }
