// Package natstest runs a NATS server in a separate process, so that a test can stop and kill it. The process runs the test binary.
package natstest

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strconv"

	"github.com/nats-io/nats-server/v2/server"
)

// env is the environment variable that contains the Server to run, as JSON.
const env = "HANDFAST_TEST_NATS_SERVER"

// Server is a single NATS server with JetStream.
type Server struct {
	Dir        string // its storage directory
	Host       string // the host that it listens on
	Port       string // the port that it listens on
	MaxPayload int32  // maximum size of a message, in bytes; 0 means 1 MiB
}

// Main runs a server until it stops, and returns true, if this process was started by [Server.Command]. A TestMain calls it first,
// and returns if the result is true.
func Main() bool {
	text := os.Getenv(env)
	if text == "" {
		return false
	}
	var s Server
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		panic(err)
	}
	port, err := strconv.Atoi(s.Port)
	if err != nil {
		panic(err)
	}
	n, err := server.NewServer(&server.Options{
		Host: s.Host, Port: port, JetStream: true, StoreDir: s.Dir, NoSigs: true, NoLog: true,
		MaxPayload: s.MaxPayload, JetStreamMaxStore: 1 << 40,
	})
	if err != nil {
		panic(err)
	}
	n.Start()
	n.WaitForShutdown()
	return true
}

// Command returns the command that starts the server: the test binary.
func (s Server) Command() (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("natstest: %w", err)
	}
	text, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("natstest: %w", err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), env+"="+string(text))
	cmd.Stderr = os.Stderr
	return cmd, nil
}
