package bench_test

import (
	"bytes"
	"fmt"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/go-chi/chi/v5"
	chimiddleware "github.com/go-chi/chi/v5/middleware"
	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/adaptor"
	"github.com/labstack/echo/v4"
	echomiddleware "github.com/labstack/echo/v4/middleware"

	"github.com/handfast/handfast/websocket"
)

// fiberApp returns a fiber application with one page.
func fiberApp() *fiber.App {
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	app.Get("/page", func(c *fiber.Ctx) error { return c.SendString("a page") })
	return app
}

// Behind a Server, a fiber application handles the requests that are not for the Server's WebSockets.
func TestFiberAlongsideServer(t *testing.T) {
	mux := http.NewServeMux()
	mux.Handle("/echo", upgraders()["Open"])
	mux.Handle("/", adaptor.FiberApp(fiberApp()))
	addr := behindServer(t, mux)
	dialEcho(t, "ws://"+addr+"/echo")
	if r, body := fetch(t, addr, "/page", false); r.StatusCode != 200 || body != "a page" {
		t.Errorf("%v %q", r, body)
	}
	if r, _ := fetch(t, addr, "/nothing", false); r.StatusCode != 404 {
		t.Error(r.Status)
	}
}

// With fasthttp as the server, WebSockets open through fiber's adaptor, whose ResponseWriter supports Hijack.
func TestFiberAdaptor(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	app := fiberApp()
	names := []string{"Accept", "Serve", "Open"}
	for _, name := range names {
		h := upgraders()[name]
		app.Get("/"+name, adaptor.HTTPHandler(h))
		if e, ok := h.(*websocket.Endpoint); ok {
			defer e.Close()
		}
	}
	served := make(chan error, 1)
	go func() { served <- app.Listener(l) }()
	for _, name := range names {
		t.Run(name, func(t *testing.T) { dialEcho(t, "ws://"+l.Addr().String()+"/"+name) })
	}
	if err := app.ShutdownWithTimeout(testTimeout); err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// logged wraps a handler with an access log.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
	line chan struct{} // receives a value for each line
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.line <- struct{}{}
	return l.text.Write(p)
}

// The entries for a WebSocket in the frameworks' access logs match the table in the guide.
func TestAccessLogs(t *testing.T) {
	out := &logged{line: make(chan struct{}, 10)}
	gin.SetMode(gin.ReleaseMode)
	g := gin.New()
	g.Use(gin.LoggerWithWriter(out))
	e := echo.New()
	e.Use(echomiddleware.RequestLoggerWithConfig(echomiddleware.RequestLoggerConfig{
		LogStatus: true,
		LogValuesFunc: func(_ echo.Context, v echomiddleware.RequestLoggerValues) error {
			_, err := fmt.Fprintf(out, "status %d", v.Status)
			return err
		},
	}), echomiddleware.Gzip())
	c := chi.NewRouter()
	c.Use(chimiddleware.RequestLogger(&chimiddleware.DefaultLogFormatter{Logger: log.New(out, "", 0), NoColor: true}), chimiddleware.Compress(5))
	for name, h := range upgraders() {
		g.GET("/"+name, gin.WrapH(h))
		e.GET("/"+name, echo.WrapHandler(h))
		c.Handle("/"+name, h)
	}
	for name, f := range map[string]struct {
		h    http.Handler
		want string
	}{"gin": {g, "| 200 |"}, "echo": {e, "status 200"}, "chi": {c, "- 000 0B"}} {
		addr := behindServer(t, f.h)
		for _, upgrader := range []string{"Accept", "Serve"} {
			dialEcho(t, "ws://"+addr+"/"+upgrader)
			select {
			case <-out.line:
			case <-time.After(testTimeout):
				t.Fatalf("%s does not log the WebSocket of %s", name, upgrader)
			}
			out.mu.Lock()
			text := out.text.String()
			out.text.Reset()
			out.mu.Unlock()
			if !strings.Contains(text, f.want) {
				t.Errorf("%s, %s: %s", name, upgrader, text)
			}
		}
	}
}

// http.TimeoutHandler hides the connection, so the handshake fails, and the client receives the reason.
func TestTimeoutHandler(t *testing.T) {
	addr := behindServer(t, http.TimeoutHandler(upgraders()["Accept"], testTimeout, ""))
	if r, body := fetch(t, addr, "/", true); r.StatusCode != 500 || !strings.Contains(body, "no Hijack, no Unwrap") {
		t.Errorf("%v %q", r, body)
	}
}
