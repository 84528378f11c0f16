//go:build e2e

package balance

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/handfast/handfast/e2e/internal/harness"
	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
)

// program is a server of another kind. The first line of its output is the port on which it listens.
type program struct {
	dir     string
	command func(port string) []string
	build   string // the package of a program of ours, which only echoes: it ignores subprotocols and paths, and prints only its port
}

var programs = map[string]program{
	"Node's ws": {"../interop/peers", func(port string) []string { return []string{"env", "PORT=" + port, "node", "ws-server.mjs"} }, ""},
	"Python's websockets": {"../interop/peers", func(port string) []string {
		return []string{"env", "PORT=" + port, "/usr/bin/python3", "server.py"}
	}, ""},
	"gorilla": {".", func(port string) []string {
		return []string{filepath.Join(scratch, "peer"), "-server", "gorilla", "-compress", "each", "-port", port}
	}, "github.com/handfast/handfast/bench/cmd/peer"},
	"Socket.IO": {"peers", func(port string) []string { return []string{"env", "PORT=" + port, "node", "socketio-server.mjs"} }, ""},
}

// otherServer is a running server of another kind.
type otherServer struct {
	port   string
	lines  *bufio.Reader // the output, which contains a line of JSON for each connection that has ended
	cmd    *exec.Cmd
	in     io.WriteCloser
	log    *harness.Output
	reap   func() // waits until the program has exited
	unread sync.WaitGroup
}

// startOther starts a program on a port; "0" means any free port.
func startOther(t *testing.T, p program, port string) *otherServer {
	t.Helper()
	if p.build != "" {
		if err := build(p.build); err != nil {
			t.Fatal(err)
		}
	}
	o := startCommand(t, p.dir, p.command(port))
	first := strings.TrimRight(o.line(t), "}\n")
	o.port = strings.TrimSpace(first[strings.LastIndex(first, ":")+1:])
	if _, err := strconv.Atoi(o.port); err != nil {
		t.Fatalf("no port: %q, %s", first, o.log)
	}
	return o
}

// build builds one of our programs in scratch, unless it has been built before.
func build(pkg string) error {
	to := filepath.Join(scratch, path.Base(pkg))
	if _, err := os.Stat(to); err == nil {
		return nil
	}
	out, err := exec.Command("go", "build", "-o", to, pkg).CombinedOutput()
	if err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return nil
}

func startCommand(t *testing.T, dir string, command []string) *otherServer {
	t.Helper()
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Dir = dir
	log := &harness.Output{}
	cmd.Stderr = log
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("a program is missing (make setup installs it): %v", err)
	}
	o := &otherServer{lines: bufio.NewReader(out), cmd: cmd, in: in, log: log}
	o.reap = sync.OnceFunc(func() {
		o.unread.Wait()
		_ = cmd.Wait() // the exit status is not checked
	})
	t.Cleanup(o.kill)
	return o
}

// end stops the program gracefully.
func (o *otherServer) end() {
	o.in.Close()
	o.reap()
}

// kill kills the program without warning.
func (o *otherServer) kill() {
	_ = o.cmd.Process.Kill() // fails if it has already exited
	o.reap()
}

// discard reads the program's output, which would otherwise block the program.
func (o *otherServer) discard() {
	o.unread.Go(func() { _, _ = io.Copy(io.Discard, o.lines) })
}

// line returns the next line of the program's output, or "" at the end.
func (o *otherServer) line(t *testing.T) string {
	t.Helper()
	got := make(chan string, 1)
	go func() {
		s, _ := o.lines.ReadString('\n')
		got <- s
	}()
	return bounded.Receive(t, got)
}

// Servers of other kinds work behind the balancer: compressed and uncompressed messages, subprotocols, pings, and closes from
// either side are forwarded, and during a drain the servers receive a valid close frame.
func TestOtherServers(t *testing.T) {
	for _, name := range []string{"Node's ws", "Python's websockets", "gorilla"} {
		t.Run(name, func(t *testing.T) {
			o := startOther(t, programs[name], "0")
			f := &farm{u: harness.NewUser(t), servers: []*upstream{{kind: name, port: o.port, program: o}}, admin: "127.0.0.1:" + harness.FreePort(t)}
			b := f.u.Balance("--listen", "127.0.0.1:0", "--admin", f.admin, "--to", f.id(0), "--check", "websocket", "--pace", "1000")
			s := serverTest{t: t, url: strings.TrimSuffix(b.First("balance"), "/"), o: o, echoOnly: programs[name].build != ""}
			s.exchange(nil)
			s.exchange(&websocket.DialOptions{Subprotocols: []string{"handfast.v2"}, Conn: websocket.ConnOptions{Compression: &websocket.Compression{}}})
			if !s.echoOnly {
				if e := ending(t, s.dial("/close-by-peer", nil)); e.Code != 4001 || !strings.HasPrefix(e.Reason, "the peer's reason") {
					t.Errorf("closed by the server: got %v, want 4001 and its reason", e)
				}
			}
			moved := s.dial("/echo", nil)
			f.empty(f.id(0))
			if e := ending(t, moved); e.Code != websocket.CodeServiceRestart {
				t.Errorf("drained: got %v, want a close with 1012", e)
			}
			s.wantLines("1012")
		})
	}
}

// serverTest is the test of one server.
type serverTest struct {
	t        *testing.T
	url      string
	o        *otherServer
	echoOnly bool // the server ignores subprotocols, and does not print how a connection has ended
}

func (s serverTest) dial(path string, opts *websocket.DialOptions) *websocket.Conn {
	s.t.Helper()
	c, err := websocket.Dial(bounded.Context(s.t), s.url+path, opts)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.CloseNow() })
	return c
}

// wantLines checks that the server's output about the next closed connection contains all texts.
func (s serverTest) wantLines(all ...string) {
	s.t.Helper()
	if s.echoOnly {
		return
	}
	line := s.o.closed(s.t, "echo")
	for _, part := range all {
		if !strings.Contains(line, part) {
			s.t.Errorf("server: got %s, want %s in it", line, part)
		}
	}
}

// exchange sends a large message, pings and closes.
func (s serverTest) exchange(opts *websocket.DialOptions) {
	s.t.Helper()
	c := s.dial("/echo", opts)
	if opts != nil && !strings.HasPrefix(c.Handshake().Extensions, "permessage-deflate") {
		s.t.Errorf("got extensions %q, want permessage-deflate", c.Handshake().Extensions)
	}
	if opts != nil && !s.echoOnly && c.Subprotocol() != "handfast.v2" {
		s.t.Errorf("got subprotocol %q, want handfast.v2", c.Subprotocol())
	}
	text := strings.Repeat("a message that can be made smaller. ", 10_000)
	if err := c.Write(bounded.Context(s.t), websocket.Message{Type: websocket.Text, Data: []byte(text)}); err != nil {
		s.t.Fatal(err)
	}
	if m, err := c.Read(bounded.Context(s.t)); err != nil || string(m.Data) != text {
		s.t.Fatalf("got %d bytes, %v, want the sent message", len(m.Data), err)
	}
	if _, err := c.Ping(bounded.Context(s.t)); err != nil {
		s.t.Errorf("ping: %v", err)
	}
	if err := c.Close(4003, "enough"); err != nil {
		s.t.Errorf("close: %v", err)
	}
	s.wantLines("4003", "enough")
}

// closed returns the server's output about the next closed connection on a path. Connections on other paths are the balancer's
// health checks.
func (o *otherServer) closed(t *testing.T, path string) string {
	t.Helper()
	for {
		line := o.line(t)
		if line == "" {
			t.Fatal("the server closed its output")
		}
		if strings.Contains(line, `"`+path+`"`) {
			return line
		}
	}
}

// ending waits for the end of a connection, and returns how it ended.
func ending(t *testing.T, c *websocket.Conn) *websocket.CloseError {
	t.Helper()
	for {
		if _, err := c.Read(bounded.Context(t)); err != nil {
			e, ok := errors.AsType[*websocket.CloseError](err)
			if !ok {
				t.Fatal(err)
			}
			return e
		}
	}
}

// Clients of Socket.IO begin with HTTP requests, and then open a WebSocket. All requests of a client must reach the same server, which a
// cookie of the balancer ensures. When the server drains, its clients reconnect to another server by themselves.
func TestSocketIO(t *testing.T) {
	const clients = 8
	f := &farm{u: harness.NewUser(t), admin: "127.0.0.1:" + harness.FreePort(t)}
	for range 2 {
		o := startOther(t, programs["Socket.IO"], "0")
		o.discard()
		f.servers = append(f.servers, &upstream{port: o.port, program: o})
	}
	b := f.u.Balance("--listen", "127.0.0.1:0", "--admin", f.admin, "--to", f.id(0), "--to", f.id(1), "--sticky", "at", "--pace", "1000")
	url := strings.Replace(strings.TrimSuffix(b.First("balance"), "/"), "ws://", "http://", 1)
	o := startCommand(t, "peers", []string{"node", "socketio-client.mjs", url, strconv.Itoa(clients)})
	on := [clients]int{} // the port of each client's server; 0 while the client is not connected
	upgraded := func(so func() bool) {
		t.Helper()
		for !so() {
			var l struct {
				Event, Reason, Error, Transport string
				Client, Server                  int
			}
			line := o.line(t)
			if err := json.Unmarshal([]byte(line), &l); err != nil {
				t.Fatalf("%q: %v, %s", line, err, o.log)
			}
			switch {
			case l.Event == "upgraded" && l.Transport == "websocket":
				on[l.Client] = l.Server
			case l.Event == "disconnected" && l.Reason == "transport close":
				on[l.Client] = 0
			default:
				t.Fatal(line)
			}
		}
	}
	upgraded(func() bool { return !slices.Contains(on[:], 0) })
	first := on[0]
	if !slices.ContainsFunc(on[:], func(port int) bool { return port != first }) {
		t.Logf("all clients are on one server: %v", on)
	}
	left, err := strconv.Atoi(f.servers[0].port)
	if err != nil {
		t.Fatal(err)
	}
	f.empty(f.id(0))
	upgraded(func() bool { return !slices.Contains(on[:], 0) && !slices.Contains(on[:], left) })
	o.end()
}
