//go:build linux

package peers

import (
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
)

// The settings of a server for permessage-deflate.
const (
	CompressNone     = ""
	CompressEach     = "each"     // no context takeover
	CompressTakeover = "takeover" // with context takeover
)

// Config configures a server.
type Config struct {
	Broadcast bool        // send each message to all connections, as many times as its second byte specifies; otherwise echo
	Compress  string      // one of the compressions above
	TLS       *tls.Config // nil means no TLS
}

// maxMessage is the size limit for every library, larger than the largest message.
const maxMessage = 32 << 20

// Peer is one server.
type Peer struct {
	Name string

	// Note contains information for readers of the measurements.
	Note string

	// Raw means that the server does not speak WebSocket: it echoes bytes.
	Raw bool

	// Program is the path of another build of the peer command that runs the server, such as a build of an earlier commit. "" means this
	// build.
	Program string

	serve  func(c *Config, ln net.Listener) error
	listen func(network, address string) (net.Listener, error) // nil means net.Listen
	lacks  []feature
	ownTLS bool // whether the library implements TLS itself
}

// String returns the name, followed by the program of another build if there is one.
func (p Peer) String() string {
	if p.Program == "" {
		return p.Name
	}
	return p.Name + "@" + filepath.Base(p.Program)
}

type feature string

const (
	broadcast feature = "broadcast"
	inTLS     feature = "TLS"
	each      feature = "compression without takeover"
	takeover  feature = "compression with takeover"
	fragments feature = "messages in several frames"
)

var all = []Peer{
	{Name: "handfast", serve: oursServe, Note: "net/http and Accept; View and Write"},
	{Name: "handfast-queue", serve: oursQueueServe, Note: "the same with Send in place of Write, for messages of up to 4 KiB"},
	{Name: "handfast-server", serve: serverServe, listen: listenSilent, ownTLS: true,
		Note: "Server with an Endpoint; View and Send, over TLS Write"},
	{Name: "handfast-events", serve: eventsServe, ownTLS: true, Note: "Server with an Endpoint; Open, on the event loop"},
	{Name: "gorilla", serve: gorillaServe, lacks: []feature{takeover}, Note: "NextReader into one buffer, a pool of write buffers"},
	{Name: "coder", serve: coderServe, Note: "Reader into one buffer; no prepared messages"},
	{Name: "gws", serve: gwsServe, Note: "callbacks; Broadcaster"},
	{Name: "gobwas", serve: gobwasServe, lacks: []feature{takeover},
		Note: "net/http and a loop over frames: no checks, no control frames"},
	{Name: "gobwas-raw", serve: rawServe, lacks: []feature{inTLS, each, takeover},
		Note: "epoll on bare descriptors and the zero-copy upgrade: no checks, no control frames, no timeouts"},
	{Name: "fasthttp", serve: fasthttpServe, lacks: []feature{takeover}, Note: "fasthttp/websocket, as gorilla"},
	{Name: "x/net", serve: xnetServe, lacks: []feature{each, takeover, fragments}, Note: "golang.org/x/net/websocket, Message codec"},
	{Name: "tcp", serve: tcpServe, Raw: true, lacks: []feature{broadcast, each, takeover},
		Note: "no protocol: a goroutine per connection reads and writes"},
}

// All returns the servers, those of this project first.
func All() []Peer { return slices.Clone(all) }

// Find returns the server with the given name.
func Find(name string) (Peer, bool) {
	i := slices.IndexFunc(all, func(p Peer) bool { return p.Name == name })
	if i < 0 {
		return Peer{}, false
	}
	return all[i], true
}

// Does reports whether the server supports what c requires.
func (p Peer) Does(c Config) bool {
	return !(c.Broadcast && p.without(broadcast) || c.TLS != nil && p.without(inTLS) ||
		c.Compress == CompressEach && p.without(each) || c.Compress == CompressTakeover && p.without(takeover))
}

// Joins reports whether the server joins messages that arrive in several frames.
func (p Peer) Joins() bool { return !p.without(fragments) }

func (p Peer) without(f feature) bool { return slices.Contains(p.lacks, f) }

// Listen returns a listener on a port of the loopback interface, created in the way that the library documents. Port 0 means a free
// port.
func (p Peer) Listen(port int) (net.Listener, error) {
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	if p.listen != nil {
		return p.listen("tcp4", address)
	}
	return net.Listen("tcp4", address)
}

// Serve serves on ln until ln is closed.
func (p Peer) Serve(c Config, ln net.Listener) error {
	if !p.Does(c) {
		return errors.New("peers: " + p.Name + " does not support this")
	}
	if c.TLS != nil && !p.ownTLS {
		ln = tls.NewListener(ln, c.TLS)
	}
	return p.serve(&c, ln)
}

// serveHTTP is for the libraries that take over a connection from net/http. Their handlers start a goroutine for the connection and
// return, so that no memory of net/http is kept.
func serveHTTP(ln net.Listener, h http.HandlerFunc) error {
	return (&http.Server{Handler: h, ErrorLog: log.New(io.Discard, "", 0)}).Serve(ln)
}
