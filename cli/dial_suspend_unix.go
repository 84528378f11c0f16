//go:build unix

package cli

import (
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// watchTerminal makes a console follow the size of its terminal, and restore the terminal while the process is stopped, until the
// returned function is called.
func watchTerminal(c *console) (stop func()) {
	signals := make(chan os.Signal, 8)
	done, ended := make(chan struct{}), make(chan struct{})
	signal.Notify(signals, syscall.SIGWINCH, syscall.SIGTSTP, syscall.SIGCONT)
	go func() {
		defer close(ended)
		for {
			select {
			case s := <-signals:
				switch s {
				case syscall.SIGWINCH:
					c.resize()
				case syscall.SIGTSTP:
					c.suspend(stopSelf)
				case syscall.SIGCONT:
					c.resume()
				}
			case <-done:
				return
			}
		}
	}()
	return func() {
		signal.Stop(signals)
		close(done)
		<-ended
	}
}

// stopSelf stops the process, and returns when it continues. It uses SIGSTOP, because the Go runtime does not restore the default action of
// SIGTSTP. Without a job control shell, the process is not stopped, because nothing could continue it. POSIX has the same rule: SIGTSTP
// does not stop the processes of an orphaned process group.
func stopSelf() {
	if session, err := unix.Getsid(0); err != nil || session == unix.Getpgrp() {
		return
	}
	continued := make(chan os.Signal, 1)
	signal.Notify(continued, syscall.SIGCONT)
	defer signal.Stop(continued)
	_ = syscall.Kill(syscall.Getpid(), syscall.SIGSTOP) // a process may always signal itself
	timer := time.NewTimer(time.Second)
	defer timer.Stop()
	select {
	case <-continued:
	case <-timer.C: // the process has already continued, or was never stopped
	}
}

// suspendGroup stops this process and those that the shell has started with it, as Ctrl-Z does in a terminal.
func suspendGroup() { _ = syscall.Kill(0, syscall.SIGTSTP) }
