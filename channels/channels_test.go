package channels

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/handfast/handfast/channels/wire"
	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
)

func TestMain(m *testing.M) { os.Exit(bounded.Main(m)) }

// opener returns the Open function for the client of a request.
type opener = func(*http.Request) func(websocket.Sender) websocket.Receiver

// drivers are the two ways of serving the connections of a test: "run" with a goroutine per connection and Conn.Run, and "loop" on the
// event loop if the system has one. Each function returns the URL of its server.
var drivers = map[string]func(t *testing.T, open opener, o websocket.ConnOptions) string{
	"run": func(t *testing.T, open opener, o websocket.ConnOptions) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{wire.Subprotocol}, Conn: o})
			if err == nil {
				c.Run(context.Background(), open(r))
			}
		}))
		t.Cleanup(s.Close)
		return s.URL
	},
	"loop": func(t *testing.T, open opener, o websocket.ConnOptions) string {
		return serve(t, o, func(r *http.Request) *websocket.Admission { return &websocket.Admission{Open: open(r)} })
	},
}

// serve serves connections with a Server and returns its URL. admit decides how a connection is served.
func serve(t *testing.T, o websocket.ConnOptions, admit func(*http.Request) *websocket.Admission) string {
	t.Helper()
	e := &websocket.Endpoint{
		Accept: websocket.AcceptOptions{Subprotocols: []string{wire.Subprotocol}, Conn: o},
		Admit:  func(r *http.Request) (*websocket.Admission, error) { return admit(r), nil },
	}
	s := &websocket.Server{HTTP: &http.Server{Handler: e}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Close()
		bounded.Receive(t, done)
	})
	return "http://" + l.Addr().String()
}

// eachEngine runs a test with every driver.
func eachEngine(t *testing.T, test func(t *testing.T, driver string)) {
	for name := range drivers {
		t.Run(name, func(t *testing.T) { test(t, name) })
	}
}

// newHub returns a hub with a namespace for every kind of channel.
func newHub(t *testing.T) *hub.Hub {
	t.Helper()
	h := hub.New(hub.Options{Namespaces: []hub.Namespace{
		{Prefix: "", History: 10, Presence: true},
		{Prefix: "short:", History: 2},
		{Prefix: "long:", History: 1000},
		{Prefix: "none:"},
		{Prefix: "small:", MaxData: 8, MaxSubscribers: 1, Rate: 1, Burst: 2, History: 10},
	}, MaxSubscriptions: 4})
	t.Cleanup(func() { h.Close() })
	return h
}

// testClient returns the Client that the header of a test request describes.
func testClient(r *http.Request) Client {
	c := Client{User: r.Header.Get("User"), Allow: func(action, channel string) error {
		if strings.HasPrefix(channel, "no-"+action) {
			return errors.New("denied by the test")
		}
		return nil
	}}
	if expires := r.Header.Get("Expires"); expires != "" {
		d, _ := time.ParseDuration(expires)
		c.Expires = time.Now().Add(d + 900*time.Millisecond)
		c.Refresh = func(_ context.Context, token string) (time.Time, error) {
			if token != "good" {
				return time.Time{}, errors.New("not good")
			}
			return time.Now().Add(time.Hour + 900*time.Millisecond), nil
		}
	}
	return c
}

// start serves the protocol with a driver, and returns the URL.
func start(t *testing.T, driver string, s *Server) string {
	t.Helper()
	return drivers[driver](t, func(r *http.Request) func(websocket.Sender) websocket.Receiver { return s.Open(testClient(r)) }, ConnOptions())
}

func dial(t *testing.T, url string, header http.Header) *websocket.Conn {
	t.Helper()
	c, err := websocket.Dial(bounded.Context(t), url, &websocket.DialOptions{Subprotocols: []string{wire.Subprotocol}, Header: header})
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

// Clients get the remaining lifetime of their token in seconds, which is at least one.
func TestSecondsUntil(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for in, want := range map[time.Duration]int64{-time.Hour: 1, 0: 1, 1500 * time.Millisecond: 1, 2 * time.Second: 2, time.Minute - 1: 59} {
			if got := secondsUntil(time.Now().Add(in)); got != want {
				t.Errorf("%v: %d", in, got)
			}
		}
		if got := secondsUntil(time.Time{}); got != 0 {
			t.Errorf("never: %d", got)
		}
	})
}
