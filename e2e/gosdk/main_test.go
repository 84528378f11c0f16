package gosdk_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/centrifugal/centrifuge-go"
	"go.uber.org/goleak"

	"github.com/handfast/handfast/e2e/internal/harness"
	"github.com/handfast/handfast/internal/bounded"
)

func TestMain(m *testing.M) {
	os.Exit(harness.Main(m, // a command waits for its reply until ReadTimeout, even if the client was closed
		goleak.IgnoreTopFunction("github.com/centrifugal/centrifuge-go.(*Client).sendAsync.func1")))
}

// secret is the key with which the application signs tokens.
const secret = "s"

// claims are the claims of a token.
type claims map[string]any

// token returns a token with the claims c, signed with the secret by.
func token(t *testing.T, by string, c claims) string {
	t.Helper()
	body, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	signed := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + base64.RawURLEncoding.EncodeToString(body)
	mac := hmac.New(sha256.New, []byte(by))
	mac.Write([]byte(signed))
	return signed + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// expiryInAnHour returns a value of the claim exp for a token that expires in an hour.
func expiryInAnHour() int64 { return time.Now().Add(time.Hour).Unix() }

// server is a "handfast serve" whose clients need a token, with an application that handles their calls.
type server struct {
	t    *testing.T
	host string
}

func newServer(t *testing.T) *server {
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		switch {
		case err == nil && strings.Contains(string(body), `"method":"add","data":[1,2]`):
			io.WriteString(w, `{"result":{"data":{"sum":3}}}`)
		case err == nil && strings.Contains(string(body), `"method":"deny"`):
			io.WriteString(w, `{"error":{"code":403,"message":"not you"}}`)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Cleanup(app.Close)
	u := harness.NewUser(t)
	s := &server{t, "127.0.0.1:" + harness.FreePort(t)}
	u.Write("handfast.yaml", fmt.Sprintf(`
listen: [{address: %q, tls: off}]
apps: [{id: "1", key: k, secret: %s}]
hub: {namespaces: [{presence: true}]}
endpoints:
  - path: /connection/websocket
    target: {centrifugo: {rpc: {url: %q}}}
    auth: [anonymous]
    compression: true
    rules: [{do: allow}]
`, s.host, secret, app.URL))
	u.Serve("--config", "handfast.yaml")
	return s
}

// api calls a method of the server API and returns its result.
func (s *server) api(method, body string) string {
	s.t.Helper()
	r, err := http.NewRequestWithContext(bounded.Context(s.t), http.MethodPost, "http://"+s.host+"/api/"+method, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("X-API-Key", secret)
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	var a struct {
		Error  *struct{ Code int }
		Result json.RawMessage
	}
	if err := json.NewDecoder(resp.Body).Decode(&a); err != nil || a.Error != nil {
		s.t.Fatalf("%s %s: %d, %v, %+v", method, body, resp.StatusCode, err, a.Error)
	}
	return string(a.Result)
}

// maker is a function of the SDK that creates a client.
type maker func(endpoint string, config centrifuge.Config) *centrifuge.Client

// formats are the kinds of clients that the SDK supports.
var formats = map[string]maker{
	"JSON": centrifuge.NewJsonClient, "Protobuf": centrifuge.NewProtobufClient,
}

// client is a client of the SDK, with the events that it reports.
type client struct {
	*centrifuge.Client
	t            *testing.T
	connected    chan centrifuge.ConnectedEvent
	connecting   chan centrifuge.ConnectingEvent
	disconnected chan centrifuge.DisconnectedEvent
	put          chan string                 // channels to which the server has subscribed the client
	publications chan centrifuge.Publication // publications in channels that the server has subscribed to

	mu    sync.Mutex
	conns []net.Conn
}

// client creates and connects a client that reconnects almost without a delay.
func (s *server) client(of maker, c centrifuge.Config) *client {
	s.t.Helper()
	n := &client{
		t: s.t, connected: make(chan centrifuge.ConnectedEvent, 16), connecting: make(chan centrifuge.ConnectingEvent, 16),
		disconnected: make(chan centrifuge.DisconnectedEvent, 16), put: make(chan string, 16), publications: make(chan centrifuge.Publication, 16),
	}
	c.ReadTimeout, c.WriteTimeout, c.HandshakeTimeout, c.MaxServerPingDelay = harness.Patience, harness.Patience, harness.Patience, harness.Patience
	c.MinReconnectDelay, c.MaxReconnectDelay = time.Millisecond, 10*time.Millisecond
	c.NetDialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		n.mu.Lock()
		defer n.mu.Unlock()
		if err == nil {
			n.conns = append(n.conns, conn)
		}
		return conn, err
	}
	n.Client = of("ws://"+s.host+"/connection/websocket", c)
	s.t.Cleanup(n.Close)
	n.OnConnected(func(e centrifuge.ConnectedEvent) { n.connected <- e })
	n.OnConnecting(func(e centrifuge.ConnectingEvent) { n.connecting <- e })
	n.OnDisconnected(func(e centrifuge.DisconnectedEvent) { n.disconnected <- e })
	n.OnSubscribed(func(e centrifuge.ServerSubscribedEvent) { n.put <- e.Channel })
	n.OnPublication(func(e centrifuge.ServerPublicationEvent) { n.publications <- e.Publication })
	if err := n.Connect(); err != nil {
		s.t.Fatal(err)
	}
	if e := bounded.Receive(s.t, n.connecting); e.Code != 0 {
		s.t.Fatalf("connecting: %+v", e)
	}
	return n
}

// user creates a client with a token, and waits until it is connected.
func (s *server) user(of maker, name string) *client {
	s.t.Helper()
	n := s.client(of, centrifuge.Config{Token: token(s.t, secret, claims{"sub": name, "exp": expiryInAnHour(), "info": claims{"name": name}})})
	bounded.Receive(s.t, n.connected)
	return n
}

// cut closes the client's connection without a close frame.
func (c *client) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conns[len(c.conns)-1].Close()
}

// subscription is a subscription of the SDK, with the events that it reports.
type subscription struct {
	*centrifuge.Subscription
	subscribed   chan centrifuge.SubscribedEvent
	unsubscribed chan centrifuge.UnsubscribedEvent
	publications chan centrifuge.Publication
	joined, left chan string // the names of users who joined and left
	errors       chan error
}

// subscribe creates a subscription and starts it.
func (c *client) subscribe(channel string, config centrifuge.SubscriptionConfig) *subscription {
	c.t.Helper()
	config.MinResubscribeDelay, config.MaxResubscribeDelay = time.Millisecond, 10*time.Millisecond
	sub, err := c.NewSubscription(channel, config)
	if err != nil {
		c.t.Fatal(err)
	}
	n := &subscription{
		Subscription: sub, subscribed: make(chan centrifuge.SubscribedEvent, 16), unsubscribed: make(chan centrifuge.UnsubscribedEvent, 16),
		publications: make(chan centrifuge.Publication, 256), joined: make(chan string, 16), left: make(chan string, 16), errors: make(chan error, 16),
	}
	sub.OnSubscribed(func(e centrifuge.SubscribedEvent) { n.subscribed <- e })
	sub.OnUnsubscribed(func(e centrifuge.UnsubscribedEvent) { n.unsubscribed <- e })
	sub.OnPublication(func(e centrifuge.PublicationEvent) { n.publications <- e.Publication })
	sub.OnJoin(func(e centrifuge.JoinEvent) { n.joined <- e.User })
	sub.OnLeave(func(e centrifuge.LeaveEvent) { n.left <- e.User })
	sub.OnError(func(e centrifuge.SubscriptionErrorEvent) { n.errors <- e.Error })
	if err := sub.Subscribe(); err != nil {
		c.t.Fatal(err)
	}
	return n
}

// want receives publications, which must contain data in this order.
func (s *subscription) want(t *testing.T, data ...string) {
	t.Helper()
	for _, want := range data {
		if p := bounded.Receive(t, s.publications); string(p.Data) != want {
			t.Fatalf("got %s, want %s", p.Data, want)
		}
	}
}
