package gateway

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/handfast/handfast/auth"
	"github.com/handfast/handfast/balance"
	"github.com/handfast/handfast/balance/proxy"
	"github.com/handfast/handfast/balance/resume"
	"github.com/handfast/handfast/config"
	"github.com/handfast/handfast/internal/limit"
	"github.com/handfast/handfast/internal/watch"
	"github.com/handfast/handfast/observe"
	"github.com/handfast/handfast/websocket"
)

// The sources of servers. If several sources list the same server, the first source in this order determines the weight of the server.
const (
	serversOfConfig   = "config"
	serversOfDNS      = "dns"
	serversOfFile     = "file"
	serversOfOperator = "operator"
)

// filePoll is the interval at which a file with servers is read even if the system notifies of no change.
const filePoll = 10 * time.Second

// balanceTarget is the target that forwards clients to servers. It outlives reloads that change its settings.
type balanceTarget struct {
	*proxy.Balancer
	name   string // the endpoint's name
	rec    *recorder
	enders *enders // runs the functions that are called at the end of tunnels

	mu      sync.Mutex
	finders sync.WaitGroup
	stop    context.CancelFunc // stops the finders; nil if none were started
	cookie  []byte             // the secret of sticky cookies, if the configuration has none
}

// newBalance creates the target balance.
func (s *Server) newBalance(cfg *config.Config, i int) (Target, error) {
	set := cfg.Endpoints[i].Target.Settings.(*config.Balance)
	t := &balanceTarget{name: cfg.Endpoints[i].Name, rec: s.rec, enders: newEnders(), cookie: []byte(rand.Text())}
	settings, err := t.settings(cfg, i)
	if err != nil {
		return nil, err
	}
	t.Balancer = proxy.New(*settings, proxy.Hooks{
		Changed: func(c proxy.Change) {
			event := observe.EventServer
			if c.Emptied {
				event = observe.EventServerEmpty
			}
			s.rec.log.Info(event, observe.KeyEndpoint, t.name, observe.KeyServer, c.Server, observe.KeyState, string(c.State), observe.KeyReason, c.Why, observe.KeyCount, c.Live)
		},
		Troubled: func(f *proxy.Failure) {
			if s.rec.pages.allow(floodKind{endpoint: t.name, server: f.Upstream}) {
				s.rec.log.Warn(observe.EventPage, observe.KeyEndpoint, t.name, observe.KeyServer, f.Upstream, observe.KeyStage, string(f.Stage), observe.KeyError, f.Err)
			}
		},
		Tried: func(a proxy.Attempt) { s.rec.metrics.Tried(t.name, a.Server, string(a.Outcome), a.Took) },
	})
	if err := t.find(set); err != nil {
		_ = t.Close()
		return nil, err
	}
	return t, nil
}

// Configure implements [Configurable].
func (t *balanceTarget) Configure(cfg *config.Config, i int) (apply func(), err error) {
	settings, err := t.settings(cfg, i)
	if err != nil {
		return nil, err
	}
	set := cfg.Endpoints[i].Target.Settings.(*config.Balance)
	if _, err := servers(set); err != nil {
		return nil, err
	}
	return func() {
		if err := t.Balancer.Configure(*settings); err != nil {
			t.logSourceError(serversOfConfig, err)
			return
		}
		if err := t.find(set); err != nil { // the file has changed since it was checked
			t.logSourceError(serversOfFile, err)
		}
	}, nil
}

// settings converts the configuration for a Balancer.
func (t *balanceTarget) settings(cfg *config.Config, i int) (*proxy.Settings, error) {
	set := cfg.Endpoints[i].Target.Settings.(*config.Balance)
	wire, err := backendTLS(set.TLS)
	if err != nil {
		return nil, cfg.Problem(endpointPath(i, "target.balance.tls"), err.Error(), "")
	}
	who, err := newIdentities(&set.Request)
	if err != nil {
		return nil, cfg.Problem(endpointPath(i, "target.balance.request.identity"), err.Error(), "")
	}
	s := &proxy.Settings{
		Pool: balance.Options{
			Policy: policyOf(set), SlowStart: time.Duration(set.SlowStart), Rise: set.Health.Rise, Fall: set.Health.Fall,
			Ejection: balance.Ejection{Failures: cmp.Or(set.Ejection.Failures, -1), Share: float64(set.Ejection.MaxPercent) / 100, Base: time.Duration(set.Ejection.For)},
		},
		Dial:       dialOptions(set, wire),
		Identify:   func(p *proxy.Request) { who.setHeader(p, p.Principal.(*auth.Identity)) },
		Retries:    set.Retries,
		MaxWaiting: set.Queue.Max, Wait: time.Duration(set.Queue.Timeout),
		Tunnel:         proxy.TunnelOptions{Ping: time.Duration(set.Timeouts.Ping), Idle: time.Duration(set.Timeouts.Idle), Lifetime: time.Duration(set.Timeouts.Lifetime)},
		Health:         proxy.Health{Path: set.Health.Path, Every: time.Duration(set.Health.Every), Timeout: time.Duration(set.Health.Timeout)},
		MovesPerSecond: set.Drain.PerSecond,
		Farewell:       farewell(websocket.Code(set.Drain.Code)),
		ByMessage:      set.Messages.Carried(), Messages: messageRules(set.Messages, cmp.Or(set.Timeouts.Ping, cfg.Endpoints[i].PingInterval)),
		Hold: proxy.Hold{Wait: time.Duration(set.Hold.Wait)},
	}
	if set.Hold.Mode != "off" {
		s.Hold.Mode = proxy.HoldMode(set.Hold.Mode)
	}
	if set.Health.Check != "off" {
		s.Health.Check = set.Health.Check
	}
	if set.Policy == "hash" {
		s.Key = keyOf(set.Key)
	}
	if marks := set.Storm.Resuming; marks != (config.Resuming{}) {
		s.Resuming = func(r *proxy.Request) bool {
			for kind, name := range map[string]string{"header": marks.Header, "query": marks.Query, "cookie": marks.Cookie} {
				if name != "" && keyOf(config.AffinityKey{Kind: kind, Name: name})(r) != "" {
					return true
				}
			}
			return false
		}
	}
	if set.Sticky.Cookie != "" {
		secret := t.cookie
		if !set.Sticky.Secret.Empty() {
			secret = []byte(set.Sticky.Secret.Reveal())
		}
		s.Sticky = proxy.NewSticky(set.Sticky.Cookie, secret)
	}
	if r := set.Rebalance; r.Enabled {
		s.Rebalance = &proxy.Rebalance{
			Rebalance: balance.Rebalance{Spread: 1 + float64(r.Spread)/100, Percentage: float64(r.Percentage)},
			PerSecond: r.PerSecond, OldestFirst: r.First == "oldest",
		}
	}
	return s, nil
}

// dialOptions returns the options for connecting to servers.
func dialOptions(set *config.Balance, wire *tls.Config) proxy.DialerOptions {
	o := proxy.DialerOptions{
		TLS: wire, KeepHost: set.Request.Host == "client", Header: http.Header{},
		StripPrefix: set.Request.StripPrefix, AddPrefix: set.Request.AddPrefix,
		Connect: time.Duration(set.Timeouts.Connect), TLSHandshake: time.Duration(set.Timeouts.Connect), Handshake: time.Duration(set.Timeouts.Handshake),
		ProxyProtocol: map[string]int{"v1": 1, "v2": 2}[set.Request.ProxyProtocol],
	}
	for _, name := range []string{set.Request.UserHeader, set.Request.Identity.Header} {
		if name != "" {
			o.Remove = append(o.Remove, name)
		}
	}
	for name, value := range set.Request.Header {
		o.Header.Set(name, value.Reveal())
	}
	return o
}

// messageRules returns the rules for messages, including the interval of pings to servers.
func messageRules(m config.Messages, ping config.Duration) proxy.Messages {
	rules := proxy.Messages{MaxFromServer: int64(m.MaxFromServer), Ping: time.Duration(ping)}
	if len(m.Types) == 1 {
		rules.Only = map[string]websocket.Type{"text": websocket.Text, "binary": websocket.Binary}[m.Types[0]]
	}
	return rules
}

func policyOf(set *config.Balance) balance.Policy {
	switch set.Policy {
	case "least_connections":
		return balance.LeastConnections()
	case "hash":
		return balance.Hash(0, nil)
	case "round_robin":
		return balance.RoundRobin()
	}
	return balance.PowerOfTwo(nil)
}

// keyOf returns a function that returns the key for the policy hash.
func keyOf(k config.AffinityKey) func(*proxy.Request) string {
	return func(r *proxy.Request) string {
		switch k.Kind {
		case "identity":
			return r.User
		case "address":
			return r.Source.Addr().String()
		case "query":
			return r.URL.Query().Get(k.Name)
		case "header":
			return r.Header.Get(k.Name)
		case "cookie":
			if c, err := r.Cookie(k.Name); err == nil {
				return c.Value
			}
			return ""
		}
		return r.URL.Path
	}
}

func backendTLS(set config.BackendTLS) (*tls.Config, error) {
	c := &tls.Config{ServerName: set.ServerName, MinVersion: tls.VersionTLS12}
	if set.CA != "" {
		pem, err := os.ReadFile(string(set.CA))
		if err != nil {
			return nil, err
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no certificate", set.CA)
		}
	}
	if set.Cert != "" {
		cert, err := tls.LoadX509KeyPair(string(set.Cert), string(set.Key))
		if err != nil {
			return nil, err
		}
		c.Certificates = []tls.Certificate{cert}
	}
	return c, nil
}

// servers returns the servers in the configuration and in its file.
func servers(set *config.Balance) (map[string][]balance.Spec, error) {
	list := map[string][]balance.Spec{serversOfConfig: nil, serversOfFile: nil}
	for _, s := range set.To {
		list[serversOfConfig] = append(list[serversOfConfig], balance.Spec{ID: string(s.URL), Weight: s.Weight, Capacity: s.Capacity})
	}
	if set.File == "" {
		return list, nil
	}
	text, err := os.ReadFile(string(set.File))
	if err != nil {
		return nil, err
	}
	list[serversOfFile], err = proxy.ParseServers(string(text), serverID)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", set.File, err)
	}
	return list, nil
}

// serverID returns the ID of a server for a URL that an operator has written.
func serverID(text string) (string, error) {
	var u config.BackendURL
	if err := u.UnmarshalText([]byte(text)); err != nil {
		return "", err
	}
	if u == "" {
		return "", errors.New("it is empty")
	}
	return string(u), nil
}

// find sets the configured servers, and replaces the finders of additional servers with those that the configuration requires.
func (t *balanceTarget) find(set *config.Balance) error {
	list, err := servers(set)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stop != nil {
		t.stop()
		t.finders.Wait()
	}
	for source, specs := range list {
		if err := t.SetServers(source, specs); err != nil {
			return err
		}
	}
	if set.DNS.URL == "" {
		if err := t.SetServers(serversOfDNS, nil); err != nil {
			return err
		}
	}
	ctx, stop := context.WithCancel(context.Background())
	t.stop = stop
	if set.DNS.URL != "" {
		t.finders.Go(func() {
			proxy.Discover(ctx, net.DefaultResolver, string(set.DNS.URL), time.Duration(set.DNS.Every), func(list []balance.Spec, err error) {
				t.found(serversOfDNS, list, err)
			})
		})
	}
	if set.File != "" {
		files, err := watch.New(string(set.File))
		if err != nil {
			t.logSourceError(serversOfFile, err)
		}
		t.finders.Go(func() {
			defer files.Close()
			t.follow(ctx, files, set)
		})
	}
	return nil
}

// found sets the servers that a source has found. An error changes nothing.
func (t *balanceTarget) found(source string, list []balance.Spec, err error) {
	if err == nil {
		err = t.SetServers(source, list)
	}
	if err != nil {
		t.logSourceError(source, err)
	}
}

// logSourceError logs an error of a source of servers.
func (t *balanceTarget) logSourceError(source string, err error) {
	t.rec.log.Warn(observe.EventServers, observe.KeyEndpoint, t.name, observe.KeySource, source, observe.KeyError, err, observe.KeyHint, "the previous list of servers stays in use")
}

// farewell returns the function that chooses the close frame for clients that have to reconnect. The frame has the configured code. If the
// configured code is 0, the client's protocol determines the code.
func farewell(configured websocket.Code) func(proxy.Farewell) (websocket.Code, string) {
	return func(f proxy.Farewell) (websocket.Code, string) {
		code, reason := f.Frame()
		switch pusher := strings.HasPrefix(f.Path, "/app/"); {
		case configured != 0:
			code = configured
		case pusher && f.Cause == proxy.CauseMoved:
			code = pusherMoved
		case pusher:
			code = pusherBackOff
		case resume.SpeaksCentrifugo(f.Subprotocol, f.Path):
			code, reason = centrifugoMoved, "shutdown"
		}
		return code, reason
	}
}

const (
	pusherMoved     = 4200 // protocol 7: "reconnect immediately"; the rate of moves is limited
	pusherBackOff   = 4100 // "reconnect after backing off": all clients of a lost server reconnect, or no other server accepts clients
	centrifugoMoved = 3001 // "shutdown"; clients choose the delay themselves
)

// Open implements [Target].
func (t *balanceTarget) Open(ctx context.Context, r *Request) (*Opened, error) {
	c, err := t.Balancer.Open(ctx, t.proxyRequest(r))
	if err != nil {
		return nil, balanceRefusal(err)
	}
	o := &Opened{Server: c.Server, Subprotocol: c.Subprotocol(), Header: c.Header(), Abandon: c.Abandon}
	if c.ByMessage() {
		received, sent := r.Received, r.Sent
		o.HalfClose = true
		o.Serve = func(_ context.Context, client *websocket.Conn) error {
			_ = c.Serve(client, received, sent) // client, the websocket.Conn, records how the connection ended
			return nil
		}
		return o, nil
	}
	o.Extensions = c.Extensions()
	o.Tunnel = func(client net.Conn, early []byte, done func(error)) (auth.Handle, error) {
		// done may close t, which waits for the event loop that calls done.
		return c, c.Tunnel(client, early, func(err error) { t.enders.end(done, err) })
	}
	return o, nil
}

// ServeRequest implements [Requests].
func (t *balanceTarget) ServeRequest(w http.ResponseWriter, r *Request) {
	t.Balancer.ServeRequest(w, t.proxyRequest(r))
}

// proxyRequest converts a request for the balancer.
func (t *balanceTarget) proxyRequest(r *Request) *proxy.Request {
	p := &proxy.Request{Request: r.Request, Source: netip.AddrPortFrom(r.Client, 0)}
	if peer := viaOf(r.Request).peer; peer != nil && peer.addr.Addr().Unmap() == r.Client {
		p.Source = netip.AddrPortFrom(r.Client, peer.addr.Port())
	}
	if local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		p.Destination = addrOf(local)
	}
	if r.Identity.Method != config.Anonymous {
		p.Principal = r.Identity
	}
	return p
}

// balanceRefusal converts an error of the balancer into the response to the client.
func balanceRefusal(err error) error {
	if refused, ok := errors.AsType[*proxy.Refused](err); ok {
		return &websocket.Reject{Status: refused.Status, Header: refused.Header, Reason: string(refused.Body)}
	}
	status, after, reason := proxy.Reply(err)
	reject := &websocket.Reject{Status: status, Reason: reason, Header: http.Header{}}
	if after > 0 {
		reject.Header.Set("Retry-After", limit.RetryAfter(after))
	}
	return &targetError{err, reject}
}

// Close implements [Target].
func (t *balanceTarget) Close() error {
	t.mu.Lock()
	stop := t.stop
	t.mu.Unlock()
	if stop != nil {
		stop()
	}
	t.finders.Wait()
	defer t.enders.close()
	return t.Balancer.Close()
}
