//go:build linux

package load

import (
	"errors"
	"fmt"
	"syscall"
	"time"
)

// upgrader opens connections, repeatedly, c.Conns at a time.
type upgrader struct {
	c     *Config
	req   []byte
	epoll int
	slots []slot
	meter *meter
	ops   int64
}

// slot is one handshake in progress.
type slot struct {
	fd   int
	sent time.Time
	got  []byte
}

// upgrade runs ModeUpgrade over plain sockets.
func upgrade(c *Config) (Result, error) {
	u := &upgrader{c: c, req: request(c), slots: make([]slot, c.Conns)}
	var err error
	if u.epoll, err = syscall.EpollCreate1(syscall.EPOLL_CLOEXEC); err != nil {
		return Result{}, err
	}
	defer syscall.Close(u.epoll)
	for i := range u.slots {
		u.slots[i] = slot{fd: -1, got: make([]byte, 0, 4<<10)}
	}
	defer func() {
		for _, s := range u.slots {
			if s.fd >= 0 {
				syscall.Close(s.fd)
			}
		}
	}()
	for i := range u.slots {
		if err := u.open(i); err != nil {
			return Result{}, err
		}
	}
	u.meter = newMeter(c)
	return u.run()
}

func (u *upgrader) run() (Result, error) {
	var events [128]syscall.EpollEvent
	for {
		n, err := syscall.EpollWait(u.epoll, events[:], patience*1000)
		if err == syscall.EINTR {
			continue
		}
		if err != nil || n == 0 {
			return Result{}, fmt.Errorf("load: no answer arrived: %w", errors.Join(err, errSilent))
		}
		for _, ev := range events[:n] {
			if err := u.handle(int(ev.Fd)); err != nil {
				return Result{}, err
			}
		}
		if u.meter.over(time.Now(), u.ops) {
			return u.meter.result(u.ops), nil
		}
	}
}

// open starts a handshake in slot i. After the response the connection is reset, so that it does not occupy a port.
func (u *upgrader) open(i int) error {
	s := &u.slots[i]
	s.sent, s.got = time.Now(), s.got[:0]
	fd, err := connect(u.c)
	if err != nil {
		return err
	}
	s.fd = fd
	if _, err := writeSocket(fd, u.req); err != nil {
		return fmt.Errorf("load: handshake: %w", err)
	}
	ev := syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(i)}
	return errors.Join(
		syscall.SetsockoptLinger(fd, syscall.SOL_SOCKET, syscall.SO_LINGER, &syscall.Linger{Onoff: 1}),
		syscall.SetNonblock(fd, true),
		syscall.EpollCtl(u.epoll, syscall.EPOLL_CTL_ADD, fd, &ev),
	)
}

func (u *upgrader) handle(i int) error {
	s := &u.slots[i]
	n, err := readSocket(s.fd, s.got[len(s.got):cap(s.got)])
	if err == syscall.EAGAIN {
		return nil
	}
	if err != nil {
		return fmt.Errorf("load: handshake: %w", err)
	}
	s.got = s.got[:len(s.got)+n]
	end, err := answered(u.c, s.got)
	if err != nil || end == 0 {
		return err
	}
	u.ops++
	u.meter.times.add(time.Since(s.sent))
	syscall.Close(s.fd)
	s.fd = -1
	return u.open(i)
}
