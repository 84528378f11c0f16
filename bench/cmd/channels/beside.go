//go:build linux

package main

import (
	"context"
	"net"
	"os/exec"
	"path/filepath"
	"syscall"

	"github.com/handfast/handfast/bench/internal/load"
)

// startNATS starts a NATS server with JetStream.
func startNATS(ctx context.Context, program, dir string) (url string, stop func(), err error) {
	addr, stop, err := startBeside(ctx, func(port string) []string {
		return []string{program, "-a", "127.0.0.1", "-p", port, "-js", "-sd", filepath.Join(dir, "nats"), "-l", filepath.Join(dir, "nats.log")}
	})
	return "nats://" + addr, stop, err
}

// startRedis starts a Redis server without persistence.
func startRedis(ctx context.Context, program, dir string) (url string, stop func(), err error) {
	addr, stop, err := startBeside(ctx, func(port string) []string {
		return []string{program, "--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no", "--dir", dir, "--logfile", "redis.log"}
	})
	return "redis://" + addr, stop, err
}

// startBeside starts a server on the clients' processor, and waits until it listens.
func startBeside(ctx context.Context, command func(port string) []string) (addr string, stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	addr = l.Addr().String()
	l.Close()
	_, port, _ := net.SplitHostPort(addr) //nolint:errcheck // a listener's address always has a port
	args := command(port)
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	stop = func() {
		_ = cmd.Process.Kill() // fails if it has already exited
		_ = cmd.Wait()         // returns an error because the process was killed
	}
	if err := load.Await(ctx, addr); err != nil {
		stop()
		return "", nil, err
	}
	return addr, stop, nil
}
