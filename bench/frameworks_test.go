package bench_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	coder "github.com/coder/websocket"
	"github.com/gin-gonic/gin"
	"github.com/go-chi/chi/v5"
	chimiddleware "github.com/go-chi/chi/v5/middleware"
	gorilla "github.com/gorilla/websocket"
	"github.com/labstack/echo/v4"
	echomiddleware "github.com/labstack/echo/v4/middleware"

	"github.com/handfast/handfast/websocket"
)

const testTimeout = 20 * time.Second

// behindServer runs h behind a websocket.Server until the test ends.
func behindServer(t *testing.T, h http.Handler) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &websocket.Server{HTTP: &http.Server{Handler: h, ReadHeaderTimeout: testTimeout}}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Close()
		if err := <-served; err != http.ErrServerClosed {
			t.Errorf("Serve: %v", err)
		}
	})
	return l.Addr().String()
}

// upgraders are handlers that open WebSockets with three libraries, and echo messages.
func upgraders() map[string]http.Handler {
	return map[string]http.Handler{
		"Accept": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c, err := websocket.Accept(w, r, nil)
			if err != nil {
				return
			}
			defer c.CloseNow()
			for m, err := range c.Messages(r.Context()) {
				if err != nil || c.Write(r.Context(), m) != nil {
					return
				}
			}
		}),
		"Serve": &websocket.Endpoint{Serve: func(c *websocket.Conn) {
			for m, err := range c.Messages(context.Background()) {
				if err != nil || c.Write(context.Background(), m) != nil {
					return
				}
			}
		}},
		"Open": &websocket.Endpoint{Open: func(s websocket.Sender) websocket.Receiver { return echoing{s} }},
		"gorilla": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c, err := (&gorilla.Upgrader{}).Upgrade(w, r, nil)
			if err != nil {
				return
			}
			defer c.Close()
			for {
				kind, p, err := c.ReadMessage()
				if err != nil || c.WriteMessage(kind, p) != nil {
					return
				}
			}
		}),
		"coder": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c, err := coder.Accept(w, r, nil)
			if err != nil {
				return
			}
			defer c.CloseNow()
			c.SetReadLimit(1 << 20)
			for {
				kind, p, err := c.Read(r.Context())
				if err != nil || c.Write(r.Context(), kind, p) != nil {
					return
				}
			}
		}),
	}
}

type echoing struct{ websocket.Sender }

func (e echoing) Message(m websocket.Message) error { return e.Send(m) }
func (e echoing) Closed(*websocket.CloseError)      {}

// frameworks are frameworks that serve the upgraders at /ws/NAME/CLIENT and a page at /page, behind middleware that wraps the
// ResponseWriter.
func frameworks() map[string]http.Handler {
	const page = "a page"
	all := map[string]http.Handler{}

	gin.SetMode(gin.ReleaseMode)
	g := gin.New()
	g.Use(gin.LoggerWithWriter(io.Discard), gin.Recovery())
	g.GET("/page", func(c *gin.Context) { c.String(http.StatusOK, page) })
	e := echo.New()
	e.Use(echomiddleware.RequestID(), echomiddleware.Recover())
	e.GET("/page", func(c echo.Context) error { return c.String(http.StatusOK, page) })
	ch := chi.NewRouter()
	ch.Use(chimiddleware.RequestID, chimiddleware.Compress(5), chimiddleware.Recoverer)
	ch.Get("/page", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, page) })
	mux := http.NewServeMux()
	mux.HandleFunc("GET /page", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, page) })
	for name, h := range upgraders() {
		g.GET("/ws/"+name+"/:client", gin.WrapH(h))
		e.GET("/ws/"+name+"/:client", echo.WrapHandler(h))
		ch.Handle("/ws/"+name+"/{client}", h)
		mux.Handle("/ws/"+name+"/{client}", h)
	}
	all["gin"], all["echo"], all["chi"], all["ServeMux"] = g, e, ch, mux
	return all
}

func dialEcho(t *testing.T, url string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	defer cancel()
	c, err := websocket.Dial(ctx, url, nil)
	if err != nil {
		t.Error(err)
		return
	}
	defer c.CloseNow()
	for _, want := range []string{"one", strings.Repeat("two", 50_000)} {
		if err := c.Write(ctx, websocket.Message{Type: websocket.Text, Data: []byte(want)}); err != nil {
			t.Error(err)
		}
		if m, err := c.Read(ctx); err != nil || string(m.Data) != want {
			t.Errorf("the echo has %d bytes (%v)", len(m.Data), err)
		}
	}
	if err := c.Close(websocket.CodeNormal, ""); err != nil {
		t.Error(err)
	}
}

// fetch requests a page, optionally as an upgrade request.
func fetch(t *testing.T, addr, path string, upgrade bool) (*http.Response, string) {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(testTimeout))
	extra := ""
	if upgrade {
		extra = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	}
	io.WriteString(nc, "GET "+path+" HTTP/1.1\r\nHost: "+addr+"\r\n"+extra+"\r\n")
	r, err := http.ReadResponse(bufio.NewReader(nc), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Error(err)
	}
	return r, string(b)
}

// Frameworks and other libraries behind a Server open their WebSockets, and respond to other upgrade requests with a page or a 404.
func TestServer_Frameworks(t *testing.T) {
	for framework, h := range frameworks() {
		addr := behindServer(t, h)
		for name := range upgraders() {
			t.Run(framework+"/"+name, func(t *testing.T) { dialEcho(t, "ws://"+addr+"/ws/"+name+"/me") })
		}
		t.Run(framework+"/pages", func(t *testing.T) {
			for _, upgrade := range []bool{false, true} {
				if r, body := fetch(t, addr, "/page", upgrade); r.StatusCode != 200 || body != "a page" || r.Close != upgrade {
					t.Errorf("upgrade %v: %v %q", upgrade, r, body)
				}
				if r, _ := fetch(t, addr, "/nothing", upgrade); r.StatusCode != 404 {
					t.Errorf("upgrade %v: %v", upgrade, r.Status)
				}
			}
		})
	}
}

// A reverse proxy behind a Server forwards upgrades, and other responses of its backend.
func TestServer_ReverseProxy(t *testing.T) {
	backend := behindServer(t, frameworks()["ServeMux"])
	target, err := url.Parse("http://" + backend)
	if err != nil {
		t.Fatal(err)
	}
	addr := behindServer(t, &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host
	}})
	for name := range upgraders() {
		t.Run(name, func(t *testing.T) { dialEcho(t, "ws://"+addr+"/ws/"+name+"/me") })
	}
	for _, upgrade := range []bool{false, true} {
		if r, body := fetch(t, addr, "/page", upgrade); r.StatusCode != 200 || body != "a page" {
			t.Errorf("upgrade %v: %v %q", upgrade, r, body)
		}
		if r, _ := fetch(t, addr, "/nothing", upgrade); r.StatusCode != 404 {
			t.Errorf("upgrade %v: %v", upgrade, r.Status)
		}
	}
}

// A handler streams a page in pieces to a client that requested an upgrade, and then aborts the response.
func TestServer_StreamedAnswer(t *testing.T) {
	gone := make(chan struct{})
	addr := behindServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		w.Header().Set("Trailer", "X-End")
		for range 3 {
			io.WriteString(w, "piece ")
			if err := rc.Flush(); err != nil && r.URL.Path != "/abort" {
				t.Error(err)
			}
		}
		if r.URL.Path == "/abort" {
			<-r.Context().Done()
			close(gone)
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("X-End", "yes")
	}))
	r, body := fetch(t, addr, "/", true)
	if body != "piece piece piece " || r.Trailer.Get("X-End") != "yes" || len(r.TransferEncoding) != 1 {
		t.Errorf("%v %q %v", r, body, r.Trailer)
	}
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(nc, "GET /abort HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
	nc.Close()
	select {
	case <-gone:
	case <-time.After(testTimeout):
		t.Error("the context did not end")
	}
}
