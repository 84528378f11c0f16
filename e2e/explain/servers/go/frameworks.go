package main

import (
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"

	fastws "github.com/fasthttp/websocket"
	"github.com/gin-gonic/gin"
	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	fiberws "github.com/gofiber/contrib/websocket"
	"github.com/gofiber/fiber/v2"
	"github.com/gorilla/websocket"
	"github.com/labstack/echo/v4"
	echomw "github.com/labstack/echo/v4/middleware"
	"github.com/valyala/fasthttp"
)

func ginServer(build func(*gin.Engine)) http.Handler {
	gin.SetMode(gin.ReleaseMode)
	e := gin.New()
	e.Use(gin.Recovery())
	build(e)
	return e
}

func echoServer(build func(*echo.Echo)) http.Handler {
	e := echo.New()
	build(e)
	return e
}

func fiberServer(build func(*fiber.App)) starter {
	return func(addr string, _ ...string) error {
		app := fiber.New(fiber.Config{DisableStartupMessage: true})
		build(app)
		return app.Listen(addr)
	}
}

func fiberEcho(c *fiberws.Conn) {
	for {
		t, p, err := c.ReadMessage()
		if err != nil || c.WriteMessage(t, p) != nil {
			return
		}
	}
}

// proxy runs a ReverseProxy in front of an echo server at /ws.
func proxy(scheme string, change func(*httputil.ProxyRequest, *httputil.ReverseProxy), wrap func(http.Handler) http.Handler) starter {
	return func(addr string, args ...string) error {
		target := &url.URL{Scheme: scheme, Host: "127.0.0.1:" + args[0]}
		p := &httputil.ReverseProxy{}
		p.Rewrite = func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			if change != nil {
				change(r, p)
			}
		}
		return http.ListenAndServe(addr, wrap(p))
	}
}

func same(h http.Handler) http.Handler { return h }

func init() {
	plain := echoWith(&websocket.Upgrader{CheckOrigin: anyOrigin}, nil)
	ginEcho := func(c *gin.Context) { plain(c.Writer, c.Request) }
	serve("gin", ginServer(func(e *gin.Engine) { e.GET("/ws", ginEcho) }))
	serve("gin-auth", ginServer(func(e *gin.Engine) {
		e.GET("/ws", gin.BasicAuth(gin.Accounts{"ann": "right"}), ginEcho)
	}))
	serve("gin-abort", ginServer(func(e *gin.Engine) {
		e.GET("/ws", func(c *gin.Context) {
			c.AbortWithStatusJSON(401, gin.H{"code": 401, "message": "cookie token is empty"})
		}, ginEcho)
	}))
	serve("gin-panic", ginServer(func(e *gin.Engine) { e.GET("/ws", func(c *gin.Context) { _ = c.MustGet("user").(string) }) }))
	serve("gin-json", ginServer(func(e *gin.Engine) { // answers although the connection is no longer HTTP
		e.GET("/ws", func(c *gin.Context) { c.JSON(200, gin.H{"status": "ok"}); ginEcho(c) })
	}))
	serve("gin-slash", ginServer(func(e *gin.Engine) { e.GET("/ws/", ginEcho) }))
}

func init() {
	plain := echoWith(&websocket.Upgrader{CheckOrigin: anyOrigin}, nil)
	echoEcho := func(c echo.Context) error { plain(c.Response(), c.Request()); return nil }
	serve("echo", echoServer(func(e *echo.Echo) { e.GET("/ws", echoEcho) }))
	serve("echo-key", echoServer(func(e *echo.Echo) {
		e.Use(echomw.KeyAuth(func(key string, _ echo.Context) (bool, error) { return key == "right", nil }))
		e.GET("/ws", echoEcho)
	}))
	serve("echo-csrf", echoServer(func(e *echo.Echo) { e.Use(echomw.CSRF()); e.GET("/ws", echoEcho); e.POST("/ws", echoEcho) }))
	serve("echo-post", echoServer(func(e *echo.Echo) { e.POST("/ws", echoEcho) }))
	serve("echo-gzip", echoServer(func(e *echo.Echo) { e.Use(echomw.Gzip()); e.GET("/ws", echoEcho) }))
	serve("echo-error", echoServer(func(e *echo.Echo) {
		e.GET("/ws", func(c echo.Context) error { return fmt.Errorf("database is down") })
	}))
}

func init() {
	servers["fiber"] = fiberServer(func(a *fiber.App) { a.Get("/ws", fiberws.New(fiberEcho)) })
	servers["fiber-origin"] = fiberServer(func(a *fiber.App) {
		a.Get("/ws", fiberws.New(fiberEcho, fiberws.Config{Origins: []string{"https://app.example"}}))
	})
	servers["fiber-subprotocol"] = fiberServer(func(a *fiber.App) {
		a.Get("/ws", fiberws.New(fiberEcho, fiberws.Config{Subprotocols: []string{"chat.v2"}}))
	})
	servers["fiber-panic"] = fiberServer(func(a *fiber.App) { a.Get("/ws", fiberws.New(func(c *fiberws.Conn) { panic("no session") })) })
	servers["fiber-token"] = fiberServer(func(a *fiber.App) {
		a.Use("/ws", func(c *fiber.Ctx) error {
			if c.Query("token") != "right" {
				return fiber.NewError(fiber.StatusForbidden, "invalid token")
			}
			return c.Next()
		})
		a.Get("/ws", fiberws.New(fiberEcho))
	})
}

func init() {
	plain := echoWith(&websocket.Upgrader{CheckOrigin: anyOrigin}, nil)
	r := chi.NewRouter()
	r.Use(middleware.Logger, middleware.Recoverer)
	r.Get("/ws", plain)
	r.Get("/old", http.RedirectHandler("/ws", http.StatusPermanentRedirect).ServeHTTP)
	r.With(middleware.BasicAuth("chat", map[string]string{"ann": "right"})).Get("/private", plain)
	r.With(middleware.Throttle(1)).Get("/one", plain)
	r.Get("/panic", func(http.ResponseWriter, *http.Request) { panic("no session") })
	serve("chi", r)

	servers["fasthttp"] = func(addr string, _ ...string) error {
		u := fastws.FastHTTPUpgrader{CheckOrigin: func(c *fasthttp.RequestCtx) bool {
			return string(c.Request.Header.Peek("Origin")) == "https://app.example"
		}}
		return fasthttp.ListenAndServe(addr, func(c *fasthttp.RequestCtx) {
			if string(c.Path()) != "/ws" {
				c.Error("Unsupported path", fasthttp.StatusNotFound)
				return
			}
			_ = u.Upgrade(c, func(conn *fastws.Conn) {
				for {
					t, p, err := conn.ReadMessage()
					if err != nil || conn.WriteMessage(t, p) != nil {
						return
					}
				}
			})
		})
	}
}

func init() {
	servers["proxy"] = proxy("http", nil, same)
	servers["proxy-tls"] = proxy("https", nil, same)
	servers["proxy-logging"] = proxy("http", nil, logging)
	servers["proxy-stripped"] = proxy("http", func(r *httputil.ProxyRequest, _ *httputil.ReverseProxy) {
		r.Out.Header.Del("Upgrade")
		r.Out.Header.Del("Connection")
	}, same)
	servers["proxy-prefix"] = proxy("http", func(r *httputil.ProxyRequest, _ *httputil.ReverseProxy) { r.Out.URL.Path = "/api" + r.Out.URL.Path }, same)
	servers["proxy-extensions"] = proxy("http", func(r *httputil.ProxyRequest, p *httputil.ReverseProxy) {
		r.Out.Header.Del("Sec-Websocket-Extensions")
		p.ModifyResponse = func(w *http.Response) error {
			w.Header.Set("Sec-WebSocket-Extensions", "permessage-deflate; server_no_context_takeover; client_no_context_takeover")
			return nil
		}
	}, same)
	servers["proxy-key"] = proxy("http", func(r *httputil.ProxyRequest, _ *httputil.ReverseProxy) { // keeps only the headers that it knows
		for name := range r.Out.Header {
			switch name {
			case "Upgrade", "Connection", "Origin", "Cookie", "Sec-Websocket-Version":
			default:
				r.Out.Header.Del(name)
			}
		}
	}, same)
	servers["proxy-host"] = proxy("http", func(r *httputil.ProxyRequest, _ *httputil.ReverseProxy) { r.Out.Host = "backend.internal" }, same)
}
