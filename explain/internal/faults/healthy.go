package faults

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/handfast/handfast/explain"
	"github.com/handfast/handfast/websocket"
)

// echo opens a WebSocket for every request and echoes messages.
func (l *lab) echo(opts *websocket.AcceptOptions) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, opts)
		if err != nil {
			return
		}
		defer conn.CloseNow()
		for m, err := range conn.Messages(l.ctx) {
			if err != nil || conn.Write(l.ctx, m) != nil {
				return
			}
		}
	})
}

// healthyOptions are the options that the tests need.
func healthyOptions() *websocket.AcceptOptions {
	return &websocket.AcceptOptions{
		Subprotocols: []string{"chat"},
		Conn:         websocket.ConnOptions{Compression: &websocket.Compression{}},
	}
}

// handler serves h and returns the address. It uses TLS if config is not nil.
func (l *lab) handler(h http.Handler, config *tls.Config) (string, error) {
	ln, err := l.listen()
	if err != nil {
		return "", err
	}
	if config != nil {
		ln = tls.NewListener(ln, config)
	}
	server := &http.Server{
		Handler: tracked(l, h), ReadTimeout: serverTimeout, WriteTimeout: serverTimeout,
		ErrorLog:     discard,
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){}, // HTTP/1.1 only
	}
	l.keep(server)
	l.wg.Go(func() { server.Serve(ln) }) //nolint:errcheck // Serve returns an error when the lab is closed
	return ln.Addr().String(), nil
}

// tracked makes the lab wait for every request, including those whose connection is hijacked.
func tracked(l *lab, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l.wg.Add(1)
		defer l.wg.Done()
		h.ServeHTTP(w, r)
	})
}

// healthyOn serves a correct echo and returns its address.
func (l *lab) healthyOn() (string, error) { return l.handler(l.echo(healthyOptions()), nil) }

// healthyTLS serves a correct echo over TLS.
func (l *lab) healthyTLS(config *tls.Config) (*Site, error) {
	addr, err := l.handler(l.echo(healthyOptions()), config)
	return &Site{URL: "wss://" + addr + "/"}, err
}

// healthy is a server without a fault.
func healthy(l *lab) (*Site, error) {
	addr, err := l.healthyOn()
	return &Site{URL: "ws://" + addr + "/", Options: explain.Options{Subprotocols: []string{"chat"}}}, err
}

// healthySecure is a server without a fault, over TLS.
func healthySecure(l *lab) (*Site, error) {
	root := newRoot("Public")
	between := root.intermediate()
	return l.withTLS(&tls.Config{Certificates: []tls.Certificate{between.issue(leaf{}, between)}}, root)
}

// anyOrigin admits pages of every origin.
func anyOrigin(l *lab) (*Site, error) {
	addr, err := l.handler(l.echo(&websocket.AcceptOptions{AnyOrigin: true}), nil)
	return &Site{URL: "ws://" + addr + "/"}, err
}

// The idle timeout of the relay below, and the idle probe of the client.
const (
	relayIdle = 1500 * time.Millisecond
	probeIdle = 10 * time.Second
)

// idleCut is a healthy server behind a relay that cuts idle connections.
func idleCut(l *lab) (*Site, error) {
	backend, err := l.healthyOn()
	if err != nil {
		return nil, err
	}
	addr, err := l.serve(func(c net.Conn) {
		b, err := net.Dial("tcp4", backend)
		if err != nil {
			return
		}
		l.keep(b)
		defer l.drop(b)
		done := make(chan struct{})
		l.wg.Go(func() { defer close(done); relay(c, b) })
		relay(b, c)
		<-done
	})
	return &Site{URL: "ws://" + addr + "/", Options: explain.Options{ProbeIdle: probeIdle}}, err
}

// relay copies from src to dst until src has sent nothing for relayIdle or either connection is closed. Then it closes both.
func relay(dst, src net.Conn) {
	defer dst.Close()
	defer src.Close()
	buf := make([]byte, 4096)
	for {
		src.SetReadDeadline(time.Now().Add(relayIdle))
		n, err := src.Read(buf)
		if err != nil {
			return
		}
		if _, err := dst.Write(buf[:n]); err != nil {
			return
		}
		dst.SetReadDeadline(time.Now().Add(relayIdle))
	}
}

// nginx is a proxy in front of a backend, like nginx without the settings for WebSocket: it sends requests in HTTP/1.0 without Upgrade and
// Connection, and replaces the Server field of the response.
func nginx(backend func(l *lab) http.Handler) func(*lab) (*Site, error) {
	return inFront(backend, "HTTP/1.0", "Upgrade", "Connection")
}

// proxyWithout is a proxy like nginx with the settings for WebSocket, except that it removes the given headers from requests.
func proxyWithout(backend func(l *lab) http.Handler, headers ...string) func(*lab) (*Site, error) {
	return inFront(backend, "HTTP/1.1", headers...)
}

// inFront is a proxy that sends requests to its backend in the HTTP version proto, without the given headers.
func inFront(backend func(l *lab) http.Handler, proto string, without ...string) func(*lab) (*Site, error) {
	return func(l *lab) (*Site, error) {
		addr, err := l.handler(backend(l), nil)
		if err != nil {
			return nil, err
		}
		front, err := l.serve(requests(func(v *exchange) {
			b, err := net.Dial("tcp4", addr)
			if err != nil {
				return
			}
			l.keep(b)
			defer l.drop(b)
			b.SetDeadline(time.Now().Add(serverTimeout))
			for _, name := range without {
				v.req.Header.Del(name)
			}
			forward(v, b, addr, proto)
		}))
		return &Site{URL: "ws://" + front + "/"}, err
	}
}

// forward handles one request of the proxy.
func forward(v *exchange, b net.Conn, host, proto string) {
	h := v.req.Header.Clone()
	if h.Get("Connection") == "" {
		h.Set("Connection", "close")
	}
	io.WriteString(b, "GET "+v.req.URL.RequestURI()+" "+proto+"\r\nHost: "+host+"\r\n") //nolint:errcheck // if the write fails, so does reading the answer
	h.Write(b)                                                                          //nolint:errcheck // if the write fails, so does reading the answer
	io.WriteString(b, "\r\n")                                                           //nolint:errcheck // if the write fails, so does reading the answer
	answer, err := readAnswer(b, v.req)
	if err != nil {
		v.answer("502 Bad Gateway", "Server: nginx/1.22.1\n", "")
		return
	}
	defer answer.Body.Close()
	answer.Header.Set("Server", "nginx/1.22.1")
	answer.Proto, answer.ProtoMinor = "HTTP/1.1", 1
	answer.Write(v) //nolint:errcheck // the write fails only if the client has disconnected
}

var healthySites = []Fault{
	{Name: "a good server", start: healthy},
	{Name: "a good server with TLS", start: healthySecure},
	{Name: "a good server on ::1 alone, as localhost", start: onlyIPv6("ws://localhost")},
	{Name: "a good server on ::1 alone, as a name of localhost", start: onlyIPv6("ws://chat.localhost")},
}
