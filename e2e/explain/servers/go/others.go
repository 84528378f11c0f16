package main

import (
	"context"
	"net"
	"net/http"
	"time"

	"github.com/centrifugal/centrifuge"
	"github.com/coder/websocket"
	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	"github.com/lesismal/nbio/nbhttp"
	nbws "github.com/lesismal/nbio/nbhttp/websocket"
	"github.com/lxzan/gws"
)

func coderEcho(o *websocket.AcceptOptions, limit int64) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, o)
		if err != nil {
			return
		}
		defer c.CloseNow()
		if limit > 0 {
			c.SetReadLimit(limit)
		}
		for {
			t, p, err := c.Read(r.Context())
			if err != nil || c.Write(r.Context(), t, p) != nil {
				return
			}
		}
	}
}

type gwsEcho struct{ gws.BuiltinEventHandler }

func (gwsEcho) OnPing(c *gws.Conn, p []byte) { _ = c.WritePong(p) }
func (gwsEcho) OnMessage(c *gws.Conn, m *gws.Message) {
	defer m.Close()
	_ = c.WriteMessage(m.Opcode, m.Bytes())
}

// gwsSilent does not answer pings: the built-in handler does not.
type gwsSilent struct{ gws.BuiltinEventHandler }

func gwsServer(h gws.Event, o *gws.ServerOption) http.HandlerFunc {
	u := gws.NewUpgrader(h, o)
	return func(w http.ResponseWriter, r *http.Request) {
		if c, err := u.Upgrade(w, r); err == nil {
			go c.ReadLoop()
		}
	}
}

// gobwas runs a server of gobwas/ws without net/http.
func gobwas(u ws.Upgrader, handle func(net.Conn)) starter {
	return func(addr string, _ ...string) error {
		ln, err := net.Listen("tcp", addr)
		if err != nil {
			return err
		}
		for {
			c, err := ln.Accept()
			if err != nil {
				return err
			}
			go func() {
				defer c.Close()
				if _, err := u.Upgrade(c); err == nil {
					handle(c)
				}
			}()
		}
	}
}

func gobwasEcho(c net.Conn) {
	for {
		p, op, err := wsutil.ReadClientData(c)
		if err != nil || wsutil.WriteServerMessage(c, op, p) != nil {
			return
		}
	}
}

func nbio(addr string, _ ...string) error {
	u := nbws.NewUpgrader()
	u.OnMessage(func(c *nbws.Conn, t nbws.MessageType, p []byte) { _ = c.WriteMessage(t, p) })
	engine := nbhttp.NewEngine(nbhttp.Config{Network: "tcp", Addrs: []string{addr}, Handler: at("/ws", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("room") == "" {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = w.Write([]byte("room is required"))
			return
		}
		_, _ = u.Upgrade(w, r, nil)
	})})
	if err := engine.Start(); err != nil {
		return err
	}
	select {}
}

func centrifugeHandler(c centrifuge.WebsocketConfig) http.Handler {
	node, err := centrifuge.New(centrifuge.Config{})
	if err != nil {
		panic(err)
	}
	node.OnConnecting(func(_ context.Context, e centrifuge.ConnectEvent) (centrifuge.ConnectReply, error) {
		if e.Token != "right" {
			return centrifuge.ConnectReply{}, centrifuge.DisconnectInvalidToken
		}
		return centrifuge.ConnectReply{Credentials: &centrifuge.Credentials{UserID: "1"}}, nil
	})
	if err := node.Run(); err != nil {
		panic(err)
	}
	m := http.NewServeMux()
	m.Handle("/connection/websocket", centrifuge.NewWebsocketHandler(node, c))
	return m
}

func init() {
	serve("coder", at("/ws", coderEcho(nil, 0)))
	serve("coder-origin", at("/ws", coderEcho(&websocket.AcceptOptions{OriginPatterns: []string{"app.example"}}, 0)))
	serve("coder-subprotocol", at("/ws", coderEcho(&websocket.AcceptOptions{Subprotocols: []string{"chat.v2"}}, 0)))
	serve("coder-small", at("/ws", coderEcho(nil, 16)))
	serve("coder-deflate", at("/ws", coderEcho(&websocket.AcceptOptions{CompressionMode: websocket.CompressionContextTakeover}, 0)))
	serve("coder-logging", logging(at("/ws", coderEcho(nil, 0))))
	serve("coder-close", at("/ws", func(w http.ResponseWriter, r *http.Request) {
		if c, err := websocket.Accept(w, r, nil); err == nil {
			_ = c.Close(websocket.StatusPolicyViolation, "client must speak the echo subprotocol")
		}
	}))
	serve("coder-now", at("/ws", func(w http.ResponseWriter, r *http.Request) {
		if c, err := websocket.Accept(w, r, nil); err == nil {
			_ = c.CloseNow()
		}
	}))
	serve("coder-noreader", at("/ws", func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err == nil {
			_ = c.Write(r.Context(), websocket.MessageText, []byte("hello"))
			time.Sleep(time.Minute)
		}
	}))
	serve("coder-context", at("/ws", func(w http.ResponseWriter, r *http.Request) { // the context ends soon after the handshake
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer c.CloseNow()
		ctx, cancel := context.WithTimeout(r.Context(), 0)
		defer cancel()
		_, _, _ = c.Read(ctx)
	}))
}

func init() {
	serve("gws", at("/ws", gwsServer(gwsEcho{}, nil)))
	serve("gws-noping", at("/ws", gwsServer(gwsSilent{}, nil)))
	serve("gws-authorize", at("/ws", gwsServer(gwsEcho{}, &gws.ServerOption{Authorize: func(r *http.Request, _ gws.SessionStorage) bool {
		return r.URL.Query().Get("token") == "right"
	}})))
	serve("gws-subprotocol", at("/ws", gwsServer(gwsEcho{}, &gws.ServerOption{SubProtocols: []string{"chat.v2"}})))
	serve("gws-small", at("/ws", gwsServer(gwsEcho{}, &gws.ServerOption{ReadMaxPayloadSize: 16})))
	serve("gws-deflate", at("/ws", gwsServer(gwsEcho{}, &gws.ServerOption{PermessageDeflate: gws.PermessageDeflate{Enabled: true, Threshold: 1}})))
	serve("gws-logging", logging(at("/ws", gwsServer(gwsEcho{}, nil))))

	servers["gobwas"] = gobwas(ws.Upgrader{}, gobwasEcho)
	servers["gobwas-host"] = gobwas(ws.Upgrader{OnHost: func(host []byte) error {
		if string(host) == "chat.example" {
			return nil
		}
		return ws.RejectConnectionError(ws.RejectionStatus(403), ws.RejectionReason("bad host"))
	}}, gobwasEcho)
	servers["gobwas-uri"] = gobwas(ws.Upgrader{OnRequest: func(uri []byte) error {
		if string(uri) == "/ws" {
			return nil
		}
		return ws.RejectConnectionError(ws.RejectionStatus(404), ws.RejectionReason("unknown path"))
	}}, gobwasEcho)
	servers["gobwas-returns"] = gobwas(ws.Upgrader{}, func(c net.Conn) { _ = wsutil.WriteServerText(c, []byte("hello")) })
	servers["gobwas-masked"] = gobwas(ws.Upgrader{}, func(c net.Conn) { // the client's function, used in a server
		_ = wsutil.WriteClientText(c, []byte("hello"))
		gobwasEcho(c)
	})
	servers["gobwas-frames"] = gobwas(ws.Upgrader{}, func(c net.Conn) { // reads frames itself, and forgets to unmask them
		for {
			f, err := ws.ReadFrame(c)
			if err != nil {
				return
			}
			f.Header.Masked = false
			if ws.WriteFrame(c, f) != nil {
				return
			}
		}
	})
	servers["gobwas-error"] = gobwas(ws.Upgrader{OnHeader: func(key, value []byte) error {
		if string(key) == "Cookie" {
			return nil
		}
		return nil
	}, OnBeforeUpgrade: func() (ws.HandshakeHeader, error) { return nil, context.DeadlineExceeded }}, gobwasEcho)

	servers["nbio"] = nbio
	serve("centrifuge", centrifugeHandler(centrifuge.WebsocketConfig{}))
	serve("centrifuge-origin", centrifugeHandler(centrifuge.WebsocketConfig{CheckOrigin: func(r *http.Request) bool { return r.Header.Get("Origin") == "https://app.example" }}))
}
