//go:build unix

package cli

import (
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// watchTerminal has a console follow the size of its terminal, and give the terminal back while the process is stopped, until the
// function that it returns is called.
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
					c.stopped(stopSelf)
				case syscall.SIGCONT:
					c.continued()
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

// stopSelf stops the process, and returns when it goes on. SIGSTOP, because the Go runtime does not give SIGTSTP back its default
// action. A process that no shell looks after is not stopped: nothing could have it go on (POSIX: SIGTSTP does not stop the processes of
// an orphaned process group, either).
func stopSelf() {
	if session, err := unix.Getsid(0); err != nil || session == unix.Getpgrp() {
		return
	}
	continued := make(chan os.Signal, 1)
	signal.Notify(continued, syscall.SIGCONT)
	defer signal.Stop(continued)
	_ = syscall.Kill(syscall.Getpid(), syscall.SIGSTOP) // to this process it is always allowed
	timer := time.NewTimer(time.Second)
	defer timer.Stop()
	select {
	case <-continued:
	case <-timer.C: // it went on longer ago, or was never stopped
	}
}

// suspendGroup stops this process and those that the shell has started with it, as the terminal does for Ctrl-Z.
func suspendGroup() { _ = syscall.Kill(0, syscall.SIGTSTP) }
