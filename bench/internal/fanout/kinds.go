//go:build linux

package fanout

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
)

// Programs are the paths of programs that are not built here. If a path is empty, its servers are skipped.
type Programs struct {
	Handfast   string // the handfast binary
	Before     string // the handfast binary of another build
	Centrifuge string // the binary of bench/cmd/centrifuge
	Centrifugo string // the binary of Centrifugo 6
	SocketIO   string // a directory with node_modules/socket.io
	Soketi     string // a directory with node_modules/@soketi/soketi
	Redis      string // the URL of a Redis whose data may be deleted
	NATS       string // the URL of a NATS server with JetStream whose data may be deleted
}

// errMissing reports that a program is missing.
var errMissing = errors.New("the program is missing")

// Kinds returns the servers, in the order of the table.
func Kinds(p Programs) []Kind {
	handfast := func(program string) []Kind {
		kind := func(name string, speaks Protocol, args ...string) Kind {
			return Kind{Name: name, Protocol: speaks, Command: func(_, addr string) ([]string, error) {
				return append([]string{program, "serve", "--tls", "off", "--listen", addr, "--log", "json"}, args...), missing(program)
			}}
		}
		return []Kind{
			kind("handfast", Handfast),
			kind("handfast, Centrifugo's protocol", Centrifugo),
			kind("handfast, NATS embedded", Handfast, "--engine", "nats"),
			kind("handfast, NATS elsewhere", Handfast, "--engine", "nats", "--nats-url", p.NATS),
			kind("handfast, Redis", Handfast, "--engine", "redis", "--redis-url", p.Redis),
		}
	}
	centrifugo := func(name, engine string) Kind {
		return Kind{Name: name, Protocol: Centrifugo, Command: func(dir, addr string) ([]string, error) {
			host, port, _ := strings.Cut(addr, ":")
			file := filepath.Join(dir, "centrifugo.json")
			err := os.WriteFile(file, []byte(`{"http_server": {"address": "`+host+`", "port": `+port+`}, "log": {"level": "error"},
"client": {"insecure": true, "allowed_origins": ["*"]},
"channel": {"without_namespace": {"history_size": 100, "history_ttl": "300s", "force_recovery": true}}`+engine+`}`), 0o600)
			return []string{p.Centrifugo, "-c", file}, errors.Join(err, missing(p.Centrifugo))
		}}
	}
	var all []Kind
	for i, k := range handfast(p.Handfast) {
		before := handfast(p.Before)[i]
		before.Name += ", before"
		all = append(all, k, before)
	}
	return append(all,
		centrifugo("Centrifugo", ""),
		centrifugo("Centrifugo, Redis", `, "engine": {"type": "redis", "redis": {"address": "`+p.Redis+`"}}`),
		Kind{Name: "centrifuge", Protocol: Centrifugo, Command: func(_, addr string) ([]string, error) {
			return []string{p.Centrifuge, addr}, missing(p.Centrifuge)
		}},
		Kind{Name: "socket.io", Protocol: SocketIO, Command: func(dir, addr string) ([]string, error) {
			file := filepath.Join(dir, "server.cjs")
			err := os.WriteFile(file, []byte(socketIO), 0o600)
			_, port, _ := strings.Cut(addr, ":")
			return []string{"node", file, filepath.Join(p.SocketIO, "node_modules", "socket.io"), port}, errors.Join(err, missing(p.SocketIO))
		}},
		Kind{Name: "soketi", Protocol: Pusher, Command: func(dir, addr string) ([]string, error) {
			host, port, _ := strings.Cut(addr, ":")
			file := filepath.Join(dir, "soketi.json")
			err := os.WriteFile(file, []byte(`{"host": "`+host+`", "port": `+port+`, "metrics": {"enabled": false}, "appManager.array.apps":
[{"id": "1", "key": "`+pusherKey+`", "secret": "`+pusherSecret+`", "enabled": true, "enableClientMessages": true, "maxConnections": -1,
"maxBackendEventsPerSecond": -1, "maxClientEventsPerSecond": -1, "maxReadRequestsPerSecond": -1}]}`), 0o600)
			program := filepath.Join(p.Soketi, "node_modules", "@soketi", "soketi", "bin", "server.js")
			return []string{"node", program, "start", "--config=" + file}, errors.Join(err, missing(p.Soketi))
		}},
	)
}

func missing(program string) error {
	if program == "" {
		return errMissing
	}
	return nil
}

// socketIO is a socket.io server with rooms.
const socketIO = `const { Server } = require(process.argv[2]);
const io = new Server(Number(process.argv[3]), { perMessageDeflate: false });
io.on("connection", (socket) => {
  socket.on("subscribe", (room) => { socket.join(room); socket.emit("subscribed", room); });
  socket.on("publish", (room, data) => { io.to(room).emit("message", data); });
});
`
