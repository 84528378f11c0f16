//go:build !unix

package cli

// watchTerminal does nothing on systems without signals for the size of the terminal and for stopping a process.
func watchTerminal(*console) (stop func()) { return func() {} }

func suspendGroup() {}
