//go:build e2e

package cluster

import (
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/handfast/handfast/e2e/internal/house"
	"github.com/handfast/handfast/internal/natstest"
)

// backend is what connects the nodes of a cluster.
type backend struct {
	args func(node int) []string // the flags of a node

	// restart kills what all nodes share, and starts it again after a pause. nil means that it is in the nodes.
	restart func(t *testing.T, pause time.Duration)
}

// engines are the engines that connect nodes.
var engines = []struct {
	name  string
	start func(t *testing.T, l *network) *backend
}{
	{"redis", startRedis},
	{"nats", startNATS},
	{"nats elsewhere", startNATSElsewhere},
}

// startNATS has each node be a server of a cluster of NATS, with a secret and a certificate that they share.
func startNATS(t *testing.T, l *network) *backend {
	u := house.NewUser(t)
	var all, names []string
	for i := range 3 {
		all = append(all, net.JoinHostPort(l.peer(i), house.FreePort(t)))
		names = append(names, "IP:"+l.peer(i))
	}
	secret := u.Write("secret", "shared by the nodes of a drill")
	u.Must(`openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout node.key -out node.pem -days 2 \
		-subj /CN=drill -addext "subjectAltName=$NAMES" -addext extendedKeyUsage=serverAuth,clientAuth`, "NAMES="+strings.Join(names, ","))
	pem := filepath.Join(u.Home, "node.pem")
	return &backend{args: func(node int) []string {
		args := []string{"--engine", "nats", "--cluster-listen", all[node], "--cluster-secret-file", secret,
			"--cluster-cert", pem, "--cluster-key", filepath.Join(u.Home, "node.key"), "--cluster-ca", pem}
		for i, a := range all {
			if i != node {
				args = append(args, "--join", a)
			}
		}
		return args
	}}
}

// startNATSElsewhere starts a NATS server in a process of its own.
func startNATSElsewhere(t *testing.T, l *network) *backend {
	host, port := l.engineHost(), house.FreePort(t)
	s := natstest.Server{Dir: t.TempDir(), Host: host, Port: port}
	return &backend{
		args: func(int) []string {
			return []string{"--engine", "nats", "--nats-url", "nats://" + net.JoinHostPort(host, port)}
		},
		restart: startShared(t, net.JoinHostPort(host, port), s.Command),
	}
}

// startRedis starts a Redis that writes what it keeps to its log.
func startRedis(t *testing.T, l *network) *backend {
	host := l.engineHost()
	u := house.NewUser(t)
	port := house.FreePort(t)
	address := net.JoinHostPort(host, port)
	return &backend{
		args: func(int) []string { return []string{"--engine", "redis", "--redis-url", "redis://" + address + "/0"} },
		restart: startShared(t, address, func() (*exec.Cmd, error) {
			return exec.Command("redis-server", "--port", port, "--bind", host, "--protected-mode", "no", "--dir", u.Home,
				"--save", "", "--appendonly", "yes", "--appendfsync", "everysec"), nil
		}),
	}
}

// startShared starts a program that all nodes share, which listens on address. The returned function kills it and starts it again.
func startShared(t *testing.T, address string, command func() (*exec.Cmd, error)) (restart func(t *testing.T, pause time.Duration)) {
	t.Helper()
	var running *exec.Cmd
	stop := func() {
		_ = running.Process.Kill()
		_ = running.Wait() // it was killed
	}
	start := func(t *testing.T) {
		t.Helper()
		var err error
		if running, err = command(); err != nil {
			t.Fatal(err)
		}
		if err := running.Start(); err != nil {
			t.Fatalf("a program is missing (make setup installs it): %v", err)
		}
		house.Until(t, running.Path+" listens on "+address, func() bool {
			c, err := net.DialTimeout("tcp", address, time.Second)
			if err == nil {
				c.Close()
			}
			return err == nil
		})
	}
	start(t)
	t.Cleanup(func() { stop() })
	return func(t *testing.T, pause time.Duration) {
		t.Helper()
		stop()
		<-time.After(pause) // it is away
		start(t)
	}
}
