//go:build unix

package cli

import (
	"os"
	"os/signal"
	"syscall"
)

// onResize calls f when the size of the terminal has changed, until the function that it returns is called.
func onResize(f func()) (stop func()) {
	changed := make(chan os.Signal, 1)
	done, ended := make(chan struct{}), make(chan struct{})
	signal.Notify(changed, syscall.SIGWINCH)
	go func() {
		defer close(ended)
		for {
			select {
			case <-changed:
				f()
			case <-done:
				return
			}
		}
	}()
	return func() {
		signal.Stop(changed)
		close(done)
		<-ended
	}
}
