//go:build e2e

package balance

import (
	"bufio"
	"encoding/json"
	"errors"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/handfast/handfast/e2e/internal/house"
	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
)

// other is a server of another kind: a program of e2e/interop/peers.
type other struct {
	port  string
	lines *bufio.Reader // a line of JSON for each connection that has ended
}

func startOther(t *testing.T, name string, args ...string) *other {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = "../interop/peers"
	var log house.Output
	cmd.Stderr = &log
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
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Wait() // how it ends says nothing here
	})
	o := &other{lines: bufio.NewReader(out)}
	var first struct{ Port int }
	if err := json.Unmarshal([]byte(o.line(t)), &first); err != nil {
		t.Fatalf("%s tells no port: %v, %s", name, err, &log)
	}
	o.port = strconv.Itoa(first.Port)
	return o
}

// line returns the next line that the server prints.
func (o *other) line(t *testing.T) string {
	t.Helper()
	got := make(chan string, 1)
	go func() {
		s, _ := o.lines.ReadString('\n') // "" at the end
		got <- s
	}()
	return bounded.Receive(t, got)
}

// Servers of other kinds work behind the balancer: messages, compressed and not, subprotocols, pings and closes from either side pass,
// and a drain is a close frame that they understand.
func TestServersOfOthers(t *testing.T) {
	for name, command := range map[string][]string{"node": {"node", "ws-server.mjs"}, "python": {"/usr/bin/python3", "server.py"}} {
		t.Run(name, func(t *testing.T) {
			o := startOther(t, command[0], command[1:]...)
			f := &farm{u: house.NewUser(t), ports: []string{o.port}, admin: "127.0.0.1:" + house.FreePort(t)}
			b := f.u.Balance("--listen", "127.0.0.1:0", "--admin", f.admin, "--to", f.id(0), "--check", "websocket", "--pace", "1000")
			url := b.First("balance")
			dial := func(path string, opts *websocket.DialOptions) *websocket.Conn {
				t.Helper()
				c, err := websocket.Dial(bounded.Context(t), strings.TrimSuffix(url, "/")+path, opts)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { c.CloseNow() })
				return c
			}
			compressed := &websocket.DialOptions{Subprotocols: []string{"handfast.v2"}, Conn: websocket.ConnOptions{Compression: &websocket.Compression{}}}
			for _, opts := range []*websocket.DialOptions{nil, compressed} {
				c := dial("/echo", opts)
				if opts != nil && (!strings.HasPrefix(c.Handshake().Extensions, "permessage-deflate") || c.Subprotocol() != "handfast.v2") {
					t.Errorf("%q, %q", c.Handshake().Extensions, c.Subprotocol())
				}
				text := strings.Repeat("a message that can be made smaller. ", 10_000)
				if err := c.Write(bounded.Context(t), websocket.Message{Type: websocket.Text, Data: []byte(text)}); err != nil {
					t.Fatal(err)
				}
				if m, err := c.Read(bounded.Context(t)); err != nil || string(m.Data) != text {
					t.Fatalf("%d bytes came back: %v", len(m.Data), err)
				}
				if _, err := c.Ping(bounded.Context(t)); err != nil {
					t.Errorf("ping: %v", err)
				}
				if err := c.Close(4003, "enough"); err != nil {
					t.Errorf("close: %v", err)
				}
				if line := o.closed(t, "echo"); !strings.Contains(line, "4003") || !strings.Contains(line, "enough") {
					t.Errorf("the server saw %s", line)
				}
			}
			if e := ending(t, dial("/close-by-peer", nil)); e.Code != 4001 || !strings.HasPrefix(e.Reason, "the peer's reason") {
				t.Errorf("closed by the server: %v", e)
			}
			moved := dial("/echo", nil)
			f.run("drain", f.id(0), "--wait")
			if e := ending(t, moved); e.Code != websocket.CodeServiceRestart {
				t.Errorf("drained: %v", e)
			}
			if line := o.closed(t, "echo"); !strings.Contains(line, "1012") {
				t.Errorf("the server saw %s", line)
			}
		})
	}
}

// closed returns what the server says of the next connection to a path that has ended. The checks of the balancer are others.
func (o *other) closed(t *testing.T, path string) string {
	t.Helper()
	for {
		line := o.line(t)
		if line == "" {
			t.Fatal("the server has ended")
		}
		if strings.Contains(line, `"`+path+`"`) {
			return line
		}
	}
}

// ending waits for the end of a connection.
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

// A server that accepts and says nothing, and one that cannot be reached, keep no client out.
func TestServersThatFail(t *testing.T) {
	mute, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	f := start(t, 1, 1, "--check", "off", "--to", mute.Addr().String(), "--to", "127.0.0.1:"+house.FreePort(t))
	c := gather(t, f.url, 20, 20*time.Millisecond)
	c.goesOn(20)
	c.expect("none", 0, 0)
	out := f.run("status")
	if strings.Count(out, "ejected") == 0 {
		t.Errorf("a server that fails every handshake gets more of them:\n%s", out)
	}
}

// A reload with other servers, weights and settings closes nothing.
func TestReload(t *testing.T) {
	f := start(t, 2, 2)
	listen, admin := "127.0.0.1:"+house.FreePort(t), "127.0.0.1:"+house.FreePort(t)
	config := func(to, more string) string {
		return "listen: [{address: \"" + listen + "\", tls: off}]\nadmin: {address: \"" + admin + "\"}\nendpoints:\n" +
			"  - name: front\n    path: /\n    auth: [anonymous]\n    target: {balance: {to: [" + to + "]" + more + "}}\n"
	}
	one, two := strconv.Quote("ws://"+f.id(0)), strconv.Quote("ws://"+f.id(1)) // inside of braces, YAML takes it for a key and its value
	path := f.u.Write("balance.yaml", config(one, ""))
	s := f.u.Serve("--config", path)
	c := gather(t, "ws://"+listen+"/echo", 50, 5*time.Millisecond)
	for i, text := range []string{
		config(one+", "+two, ""), config("{url: "+one+", weight: 5}, "+two, ", policy: round_robin, health: http"),
		config(two, ", retries: 0, slow_start: 1s, sticky: hf"), config(one+", "+two, ", policy: hash, key: address, health: off"),
	} {
		f.u.Write("balance.yaml", text)
		house.Until(t, "the reload is in the log", func() bool { return strings.Count(s.Log.String(), "configuration reloaded") == i+1 })
		c.goesOn(50)
	}
	c.expect("none", 0, 0)
}
