package gateway

import (
	"net"
	"os"
	"slices"
	"strconv"
	"sync"
)

// inheritance is the set of listening sockets that were passed to the process and are not in use yet. They are passed in the way that
// systemd uses for socket units (sd_listen_fds(3)). A socket stays open while one process ends and the next one starts, or while both run,
// so that clients can always connect.
type inheritance struct {
	mu     sync.Mutex
	unused []net.Listener
	taken  []net.Listener
}

// firstInherited is the first passed descriptor: SD_LISTEN_FDS_START.
const firstInherited = 3

var inherited = sync.OnceValue(func() *inheritance {
	pid, count := os.Getenv("LISTEN_PID"), os.Getenv("LISTEN_FDS")
	for _, name := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
		_ = os.Unsetenv(name) // child processes must not use them; unsetting these names does not fail
	}
	n, err := strconv.Atoi(count)
	if err != nil || pid != strconv.Itoa(os.Getpid()) {
		return &inheritance{}
	}
	return inherit(firstInherited, n)
})

// inherit takes over n descriptors. Descriptors that are not listening sockets are closed.
func inherit(first, n int) *inheritance {
	h := &inheritance{}
	for fd := first; fd < first+n; fd++ {
		file := os.NewFile(uintptr(fd), "inherited "+strconv.Itoa(fd))
		if file == nil {
			continue
		}
		if l, err := net.FileListener(file); err == nil { // FileListener duplicates the descriptor
			h.unused = append(h.unused, l)
		}
		file.Close()
	}
	return h
}

// take returns the listener for a network and an address, or nil if none was passed. Each listener is returned once.
func (h *inheritance) take(network, addr string) net.Listener {
	want, err := net.ResolveTCPAddr(network, addr)
	if err != nil || want.Port == 0 {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	i := slices.IndexFunc(h.unused, func(l net.Listener) bool {
		have, ok := l.Addr().(*net.TCPAddr)
		return ok && have.Port == want.Port && (have.IP.Equal(want.IP) || have.IP.IsUnspecified() && (want.IP == nil || want.IP.IsUnspecified()))
	})
	if i < 0 {
		return nil
	}
	l := h.unused[i]
	h.unused = slices.Delete(h.unused, i, i+1)
	h.taken = append(h.taken, l)
	return l
}

// has reports whether a listener's socket was passed to the process, so that another process may have it, too.
func (h *inheritance) has(l net.Listener) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Contains(h.taken, l)
}
