package pusher

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
)

func TestMain(m *testing.M) { os.Exit(bounded.Main(m)) }

// app is the application that the tests use: that of the protocol's test vectors.
var app = App{ID: "3", Key: "278d425bdf160c739803", Secret: "7ad3773142a6692b25b8"}

func testApps() []App {
	return []App{app, {ID: "off", Key: "off", Secret: "off", Disabled: true}, {ID: "other", Key: "other", Secret: "other"}}
}

// drivers are the two ways of serving the connections of a test: "run" with a goroutine per connection and Conn.Run, and "loop" on
// the event loop if the system has one. They return the URL of a server that also serves the API.
var drivers = map[string]func(t *testing.T, s *Server) string{
	"run": func(t *testing.T, s *Server) string {
		mux := http.NewServeMux()
		mux.Handle("/apps/", s.API(""))
		mux.HandleFunc("/app/{key}", func(w http.ResponseWriter, r *http.Request) {
			c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Conn: ConnOptions()})
			if err == nil {
				c.Run(context.Background(), s.Open(clientOf(r)))
			}
		})
		h := httptest.NewServer(mux)
		t.Cleanup(h.Close)
		return h.URL
	},
	"loop": func(t *testing.T, s *Server) string {
		e := &websocket.Endpoint{
			Accept: websocket.AcceptOptions{Conn: ConnOptions()},
			Admit: func(r *http.Request) (*websocket.Admission, error) {
				return &websocket.Admission{Open: s.Open(clientOf(r))}, nil
			},
		}
		mux := http.NewServeMux()
		mux.Handle("/apps/", s.API(""))
		mux.Handle("/app/{key}", e)
		h := &websocket.Server{HTTP: &http.Server{Handler: mux}}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- h.Serve(l) }()
		t.Cleanup(func() {
			e.Close()
			h.Close()
			bounded.Receive(t, done)
		})
		return "http://" + l.Addr().String()
	},
}

// eachDriver runs a test with every driver.
func eachDriver(t *testing.T, test func(t *testing.T, driver string)) {
	for name := range drivers {
		t.Run(name, func(t *testing.T) { test(t, name) })
	}
}

// newServer returns a server with all optional features, and its own hub.
func newServer(t *testing.T) *Server {
	t.Helper()
	h := hub.New(hub.Options{Namespaces: Namespaces([]hub.Namespace{{History: 10}, {Prefix: "none-"}}), MaxSubscriptions: 6})
	t.Cleanup(func() { h.Close() })
	return &Server{Hub: h, Apps: testApps(), ClientEvents: true, Watchlists: true, MaxMembers: 3, MaxData: 100}
}

// clientOf returns the Client for a request in a test.
func clientOf(r *http.Request) Client {
	q := r.URL.Query()
	return Client{Key: r.PathValue("key"), Protocol: q.Get("protocol"), Version: q.Get("version"), User: q.Get("user"),
		Allow: func(action, channel string) error {
			if strings.HasPrefix(channel, "no-"+action) || strings.HasPrefix(channel, "private-no-"+action) ||
				strings.HasPrefix(channel, "presence-no-"+action) {
				return errors.New("denied by the test")
			}
			return nil
		}}
}

const defaultQuery = "protocol=7&client=js&version=8.6.0&flash=false"

func dial(t *testing.T, url, query string) *websocket.Conn {
	t.Helper()
	c, err := websocket.Dial(bounded.Context(t), url+"/app/"+app.Key+"?"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.CloseNow() })
	return c
}

func send(t *testing.T, c *websocket.Conn, text string) {
	t.Helper()
	if err := c.Write(bounded.Context(t), websocket.Message{Type: websocket.Text, Data: []byte(text)}); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, c *websocket.Conn) string {
	t.Helper()
	m, err := c.Read(bounded.Context(t))
	if err != nil {
		t.Fatal(err)
	}
	return string(m.Data)
}

// code reads until the connection ends, and returns the close code.
func code(t *testing.T, c *websocket.Conn) websocket.Code {
	t.Helper()
	for {
		if _, err := c.Read(bounded.Context(t)); err != nil {
			return websocket.CloseCode(err)
		}
	}
}

// signedQuery returns the query of a signed API call.
func signedQuery(a App, method, path, params, body string, at time.Time) string {
	q := "auth_key=" + a.Key + "&auth_timestamp=" + strconv.FormatInt(at.Unix(), 10) + "&auth_version=1.0"
	if body != "" {
		sum := md5.Sum([]byte(body))
		q += "&body_md5=" + hex.EncodeToString(sum[:])
	}
	if params != "" {
		q += "&" + params
	}
	return q + "&auth_signature=" + a.sign(method+"\n"+path+"\n"+queryOf(q).text(false))
}

// callAPI calls the API, and returns the status and the body.
func callAPI(t *testing.T, url, method, path, query, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(bounded.Context(t), method, url+path+"?"+query, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	http.DefaultClient.CloseIdleConnections()
	return res.StatusCode, string(text)
}

// api calls the API with a signature. path is relative to that of the application, and may have a query.
func api(t *testing.T, base, method, path, body string) (int, string) {
	t.Helper()
	path, params, _ := strings.Cut(path, "?")
	u := url.URL{Path: "/apps/" + app.ID + path}
	return callAPI(t, base, method, u.EscapedPath(), signedQuery(app, method, u.Path, params, body, time.Now()), body)
}

// advance lets fake time pass in a synctest bubble.
func advance(d time.Duration) { <-time.After(d) }
