//go:build e2e

package cluster

import (
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/handfast/handfast/e2e/internal/harness"
	"github.com/handfast/handfast/internal/natstest"
	"github.com/handfast/handfast/internal/redistest"
)

// backend is the engine that connects the nodes of a cluster.
type backend struct {
	args func(node int) []string // returns the flags for a node

	// restart kills the process that all nodes share, and restarts the process when whileDown returns. nil means that the engine runs inside
	// the nodes.
	restart func(t *testing.T, whileDown func())
}

// engines lists the engines that are tested.
var engines = []struct {
	name  string
	start func(t *testing.T, l *network) *backend
}{
	{"redis", startRedis},
	{"nats", startNATS},
	{"nats elsewhere", startNATSElsewhere},
}

// startNATS configures each node as a server of a NATS cluster, with a shared secret and certificate.
func startNATS(t *testing.T, l *network) *backend {
	u := harness.NewUser(t)
	var all, names []string
	for i := range 3 {
		all = append(all, net.JoinHostPort(l.peer(i), harness.FreePort(t)))
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

// startNATSElsewhere starts a NATS server in a separate process.
func startNATSElsewhere(t *testing.T, l *network) *backend {
	host, port := l.engineHost(), harness.FreePort(t)
	s := natstest.Server{Dir: t.TempDir(), Host: host, Port: port}
	return &backend{
		args: func(int) []string {
			return []string{"--engine", "nats", "--nats-url", "nats://" + net.JoinHostPort(host, port)}
		},
		restart: startProcess(t, net.JoinHostPort(host, port), s.Command),
	}
}

// startRedis starts a Redis server that persists its data in an append-only log.
func startRedis(t *testing.T, l *network) *backend {
	s := redistest.StartAt(t, l.engineHost(), "appendonly yes\nappendfsync everysec\n")
	return &backend{
		args: func(int) []string { return []string{"--engine", "redis", "--redis-url", s.URL()} },
		restart: func(_ *testing.T, whileDown func()) {
			s.Stop()
			whileDown()
			s.Restart()
		},
	}
}

// startProcess starts a program that all nodes share and that listens on address. The returned function kills and restarts it.
func startProcess(t *testing.T, address string, command func() (*exec.Cmd, error)) (restart func(t *testing.T, whileDown func())) {
	t.Helper()
	var running *exec.Cmd
	stop := func() {
		_ = running.Process.Kill()
		_ = running.Wait() // the error only reports that the process was killed
	}
	start := func(t *testing.T) {
		t.Helper()
		var err error
		if running, err = command(); err != nil {
			t.Fatal(err)
		}
		if err := running.Start(); err != nil {
			t.Fatal(err)
		}
		harness.Until(t, running.Path+" listens on "+address, func() bool {
			c, err := net.DialTimeout("tcp", address, time.Second)
			if err == nil {
				c.Close()
			}
			return err == nil
		})
	}
	start(t)
	t.Cleanup(func() { stop() })
	return func(t *testing.T, whileDown func()) {
		t.Helper()
		stop()
		whileDown()
		start(t)
	}
}
