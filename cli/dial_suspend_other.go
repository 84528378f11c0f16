//go:build !unix

package cli

// watchTerminal does nothing: no signal reports that the size of the terminal has changed, and nothing stops a process.
func watchTerminal(*console) (stop func()) { return func() {} }

func suspendGroup() {}
