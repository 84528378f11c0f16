package main

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/gorilla/websocket"
	"github.com/olahol/melody"
	xws "golang.org/x/net/websocket"
)

// echoWith is an echo server with gorilla/websocket.
func echoWith(u *websocket.Upgrader, prepare func(*websocket.Conn)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c, err := u.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer c.Close()
		if prepare != nil {
			prepare(c)
		}
		for {
			t, p, err := c.ReadMessage()
			if err != nil || c.WriteMessage(t, p) != nil {
				return
			}
		}
	}
}

func anyOrigin(*http.Request) bool { return true }

// A statusRecorder is the response writer of many a middleware for logs: it hides http.Hijacker.
type statusRecorder struct {
	http.ResponseWriter
	status int
}

func (s *statusRecorder) WriteHeader(status int) {
	s.status = status
	s.ResponseWriter.WriteHeader(status)
}

func logging(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { next.ServeHTTP(&statusRecorder{ResponseWriter: w}, r) })
}

type gzipWriter struct {
	http.ResponseWriter
	io.Writer
}

func (g gzipWriter) Write(p []byte) (int, error) { return g.Writer.Write(p) }

// compressing is a middleware that compresses every response, and hides http.Hijacker.
func compressing(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		defer z.Close()
		next.ServeHTTP(gzipWriter{w, z}, r)
	})
}

func requireBearer(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer right" {
			w.Header().Set("WWW-Authenticate", `Bearer realm="chat"`)
			http.Error(w, "invalid token", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func init() {
	plain := echoWith(&websocket.Upgrader{}, nil)
	serve("gorilla", at("/ws", plain))
	serve("gorilla-origin", at("/ws", echoWith(&websocket.Upgrader{CheckOrigin: func(r *http.Request) bool { return r.Header.Get("Origin") == "https://app.example" }}, nil)))
	serve("gorilla-subprotocol", at("/ws", echoWith(&websocket.Upgrader{Subprotocols: []string{"chat.v2"}}, nil)))
	serve("gorilla-small", at("/ws", echoWith(&websocket.Upgrader{}, func(c *websocket.Conn) { c.SetReadLimit(16) })))
	serve("gorilla-deflate", at("/ws", echoWith(&websocket.Upgrader{EnableCompression: true}, nil)))
	serve("gorilla-bearer", at("/ws", requireBearer(plain).ServeHTTP))
	serve("gorilla-logging", logging(at("/ws", plain)))
	serve("gorilla-timeout", http.TimeoutHandler(at("/ws", plain), time.Minute, "too slow"))
	serve("gorilla-gzip", compressing(at("/ws", plain)))
	serve("gorilla-panic", at("/ws", echoWith(&websocket.Upgrader{}, func(*websocket.Conn) { panic("no session") })))
	serve("gorilla-panic-before", at("/ws", func(http.ResponseWriter, *http.Request) { panic("no session") }))
	serve("gorilla-header", at("/ws", func(w http.ResponseWriter, r *http.Request) { // answers before it upgrades
		w.WriteHeader(http.StatusOK)
		plain(w, r)
	}))
	serve("gorilla-returns", at("/ws", func(w http.ResponseWriter, r *http.Request) { // the handler ends, and so does the connection
		if c, err := (&websocket.Upgrader{}).Upgrade(w, r, nil); err == nil {
			_ = c.WriteMessage(websocket.TextMessage, []byte("hello"))
			c.Close()
		}
	}))
	serve("gorilla-noreader", at("/ws", func(w http.ResponseWriter, r *http.Request) { // only writes, so that no ping is answered
		c, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
		for err == nil {
			err = c.WriteMessage(websocket.TextMessage, []byte("tick"))
			time.Sleep(300 * time.Millisecond)
		}
	}))
	serve("gorilla-post", func() http.Handler {
		m := http.NewServeMux()
		m.HandleFunc("POST /ws", plain)
		return m
	}())
	serve("gorilla-slash", at("/ws/", plain))
	serve("gorilla-limit", at("/ws", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "30")
		http.Error(w, "too many connections", http.StatusServiceUnavailable)
	}))
	serve("gorilla-bad-json", at("/ws", echoWith(&websocket.Upgrader{}, func(c *websocket.Conn) {
		var v struct{ Type string }
		_, p, err := c.ReadMessage()
		if err == nil {
			err = json.Unmarshal(p, &v)
		}
		if err == nil && v.Type == "" {
			err = errors.New("type is required")
		}
		if err != nil {
			_ = c.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseUnsupportedData, "expected JSON"), time.Now().Add(time.Second))
		}
	})))
	servers["gorilla-tls"] = func(addr string, args ...string) error {
		return http.ListenAndServeTLS(addr, args[0], args[1], at("/ws", plain)) // with HTTP/2, as is the default
	}
	serve("gorilla-page", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<!doctype html><title>Shop</title><div id=root></div>")
	}))
}

func init() {
	serve("xnet", at("/ws", xws.Handler(func(c *xws.Conn) { _, _ = io.Copy(c, c) }).ServeHTTP))
	serve("xnet-origin", at("/ws", xws.Server{Handshake: func(_ *xws.Config, r *http.Request) error {
		if r.Header.Get("Origin") != "https://app.example" {
			return errors.New("origin")
		}
		return nil
	}, Handler: func(c *xws.Conn) { _, _ = io.Copy(c, c) }}.ServeHTTP))
	serve("xnet-subprotocol", at("/ws", xws.Server{Handshake: func(config *xws.Config, _ *http.Request) error {
		config.Protocol = []string{"chat.v2"} // whatever the client offers
		return nil
	}, Handler: func(c *xws.Conn) { _, _ = io.Copy(c, c) }}.ServeHTTP))
	serve("xnet-returns", at("/ws", xws.Handler(func(c *xws.Conn) { _, _ = io.WriteString(c, "hello") }).ServeHTTP))
	serve("xnet-logging", logging(at("/ws", xws.Handler(func(c *xws.Conn) { _, _ = io.Copy(c, c) }).ServeHTTP)))

	m := melody.New()
	m.HandleMessage(func(s *melody.Session, p []byte) { _ = s.Write(p) })
	m.Config.MaxMessageSize = 64
	melodyEcho := func(w http.ResponseWriter, r *http.Request) { _ = m.HandleRequest(w, r) }
	serve("melody", at("/ws", melodyEcho))
	serve("melody-logging", logging(at("/ws", melodyEcho)))
	closing := melody.New()
	closing.HandleConnect(func(s *melody.Session) { _ = s.CloseWithMsg(melody.FormatCloseMessage(4401, "token expired")) })
	serve("melody-close", at("/ws", func(w http.ResponseWriter, r *http.Request) { _ = closing.HandleRequest(w, r) }))
	serve("melody-token", at("/ws", func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Query().Get("token"), "ey") {
			http.Error(w, `{"error":"missing token"}`, http.StatusForbidden)
			return
		}
		melodyEcho(w, r)
	}))
}
