package gateway

import (
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/handfast/handfast/auth"
	"github.com/handfast/handfast/config"
	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
)

// An error of Open names the setting, and no resource stays open.
func TestOpenFails(t *testing.T) {
	const rooms = "endpoints: [{path: /rooms, target: channels, auth: [anonymous]}]\napps: [{id: main, secret: s}]\n"
	none := filepath.Join(t.TempDir(), "none", "file")
	for _, tt := range []struct {
		name, text string
		change     func(*config.Config)
		want       string
	}{
		{"audit log", rooms, func(c *config.Config) { c.Audit = config.Audit{To: "file", File: config.Path(none)} }, "open the audit log"},
		{"store", rooms, func(c *config.Config) { c.Store.Redis = &config.RedisStore{URL: config.NewSecret("ftp://x")} }, "redis"},
		{"webhooks of no application", rooms, func(c *config.Config) { c.Webhooks = []config.Webhook{{App: "other", URL: "http://127.0.0.1:1/"}} }, "webhooks[0]"},
		{"webhooks without a URL", rooms, func(c *config.Config) { c.Webhooks = []config.Webhook{{App: "main"}} }, "webhooks[0]"},
		{"authority of webhooks", rooms, func(c *config.Config) {
			c.Webhooks = []config.Webhook{{App: "main", URL: "https://127.0.0.1:1/", CA: config.Path(none)}}
		}, "webhooks[0]"},
		{"engine", rooms, func(c *config.Config) { c.Hub.Engine.Settings, c.Hub.Engine.Kind = nil, "none" }, "hub.engine"},
		{"target", rooms, func(c *config.Config) { c.Endpoints[0].Target.Kind = "none" }, "there is no such target"},
		{"method", rooms, func(c *config.Config) { c.Endpoints[0].Auth = []config.AuthRef{{Name: "missing"}} }, "endpoints[0].auth[0]"},
		{"path", rooms, func(c *config.Config) { c.Endpoints = append(c.Endpoints, c.Endpoints[0]) }, "endpoints[1].path"},
		{"path of tickets", "auth: {users: {jwt: {secret: " + key + "}}, tickets: {ticket: {path: /ticket, auth: [users]}}}\n" + rooms, func(c *config.Config) {
			c.Auth["tickets"].Ticket.Auth = []config.AuthRef{{Name: "missing"}}
		}, "auth.tickets.ticket.auth[0]"},
		{"path of the logout", rooms, func(c *config.Config) {
			c.Logout = config.Logout{Path: "/{", Auth: []config.AuthRef{{Name: config.Anonymous}}}
		}, "logout.path"},
		{"methods of the logout", rooms, func(c *config.Config) {
			c.Logout = config.Logout{Path: "/out", Auth: []config.AuthRef{{Name: "missing"}}}
		}, "logout.auth[0]"},
		{"rpc", "endpoints: [{path: /cf, target: {centrifugo: {rpc: {url: 'https://127.0.0.1:1/'}}}, auth: [anonymous]}]\napps: [{id: main, secret: s}]\n", func(c *config.Config) {
			c.Endpoints[0].Target.Settings.(*config.Centrifugo).RPC.CA = config.Path(none)
		}, "endpoints[0].target.centrifugo.rpc"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := parse(t, tt.text)
			tt.change(cfg)
			s, err := Open(t.Context(), Options{Config: cfg})
			if err == nil {
				s.Close()
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %s", err, tt.want)
			}
		})
	}
}

// The pages and applications of a server are those of its configuration.
func TestConsoleAndApps(t *testing.T) {
	for console, want := range map[string]int{"true": 200, "false": 404} {
		r := run(t, parse(t, "console: "+console+"\nendpoints: [{path: /x, target: echo, auth: [anonymous]}]\napps: [{id: a, key: k, secret: s}, {id: b, key: l, secret: s}]\n"))
		if resp, _ := requestPage(t, "GET", r.URLs()[0]+"/", nil); resp.StatusCode != want || r.Console() != (want == 200) {
			t.Errorf("console: %s: %d, %t", console, resp.StatusCode, r.Console())
		}
		if apps := r.Apps(); len(apps) != 2 || apps[0] != (App{"a", "k"}) || apps[1] != (App{"b", "l"}) {
			t.Errorf("%+v", apps)
		}
	}
}

// Audit lines are written to the configured destination, in the configured format.
func TestAuditFormats(t *testing.T) {
	var stdout, stderr output
	a, err := openAudit(config.Audit{To: "stderr", Format: "text"}, &stdout, &stderr, nil)
	if err != nil {
		t.Fatal(err)
	}
	a.log("one", "user", "ann", "empty", "")
	if got := stderr.String(); !strings.HasSuffix(got, "level=INFO msg=one user=ann\n") || stdout.String() != "" {
		t.Errorf("%q, %q", got, stdout.String())
	}
	if err := a.reopen(); err != nil {
		t.Error(err)
	}
	a.close()
	a = nil
	a.log("two")
	a.close()
	if err := a.reopen(); err != nil {
		t.Error(err)
	}
	if a, err := openAudit(config.Audit{To: "off"}, &stdout, &stderr, nil); a != nil || err != nil {
		t.Errorf("%v, %v", a, err)
	}
}

// If the audit file cannot be reopened, the old one stays in use and an error is returned.
func TestAuditReopenFails(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "audit")
	r := run(t, parse(t, users+"audit: {to: file, file: "+file+"}\n", key))
	if err := r.Reread(); err != nil {
		t.Error(err)
	}
	if err := os.Rename(dir, dir+".old"); err != nil {
		t.Fatal(err)
	}
	if err := r.Reread(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
	wantEcho(t, r.open(t, "/open", nil))
	bounded.Until(t, func() bool {
		text, err := os.ReadFile(filepath.Join(dir+".old", "audit"))
		return err == nil && strings.Contains(string(text), `"connected"`)
	})
}

// The error for an address that cannot be bound contains the next step.
func TestListenErrors(t *testing.T) {
	for err, want := range map[syscall.Errno]string{
		syscall.EADDRINUSE: "port 0", syscall.EACCES: "1024", syscall.EADDRNOTAVAIL: "interface", syscall.EINVAL: "",
	} {
		e := listenError("a:1", &net.OpError{Op: "listen", Err: &os.SyscallError{Syscall: "bind", Err: err}})
		if !errors.Is(e, err) || !strings.Contains(e.NextStep(), want) || (want == "") != (e.NextStep() == "") || e.Error() != "listen on a:1: "+err.Error() {
			t.Errorf("%v: %v, %s", err, e, e.NextStep())
		}
	}
	for err, want := range map[error]bool{
		syscall.EADDRNOTAVAIL: true, syscall.EAFNOSUPPORT: true, &net.AddrError{Err: "no suitable address"}: true, syscall.EADDRINUSE: false,
	} {
		if got := isNoIPv6(&net.OpError{Err: err}); got != want {
			t.Errorf("%v: %t", err, got)
		}
	}
	for _, tt := range []struct {
		asked string
		bound net.Addr
		want  string
	}{
		{":80", &net.TCPAddr{IP: net.IPv6zero, Port: 80}, "localhost:80"},
		{"0.0.0.0:0", &net.TCPAddr{IP: net.IPv4zero, Port: 81}, "localhost:81"},
		{"[::]:0", &net.TCPAddr{IP: net.IPv6zero, Port: 81}, "localhost:81"},
		{"10.0.0.1:0", &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 82}, "10.0.0.1:82"},
		{"app.example.com:0", &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 82}, "app.example.com:82"},
		{"no port", &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 83}, "10.0.0.1:83"},
		{":1", &net.UnixAddr{Name: "/run/s"}, "/run/s"},
	} {
		if got := displayAddr(tt.asked, tt.bound); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.asked, got, tt.want)
		}
	}
}

// The metrics contain the expiry times of the certificates in use.
func TestCertificateMetrics(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	cfg := plainConfig("127.0.0.1:0")
	cfg.Listen[0].TLS.Mode = "dev"
	r := run(t, cfg)
	if ends := r.certificateEnds(); len(ends) == 0 {
		t.Error("none")
	} else {
		for path, end := range ends {
			if end < 1.7e9 || path == "" {
				t.Errorf("%s: %v", path, end)
			}
		}
	}
	if s := (&Server{rec: newRecorder(nil, observeNothing)}); len(s.certificateEnds()) != 0 || s.AdminURL() != "" || len(s.traffic()) != 1 || s.authCalls() != 0 {
		t.Error("a server that is not open reports certificates, an address, traffic or calls")
	}
}

// The log reports that a message with a trace ID could not be published, or that it was a duplicate.
func TestTraced(t *testing.T) {
	p := &hub.Publication{Trace: "0af7", User: "ann", Client: "c"}
	for _, tt := range []struct {
		level slog.Level
		t     hub.Trace
		want  string
	}{
		{slog.LevelDebug, hub.Trace{Publication: p}, `level=DEBUG msg=published trace_id=0af7 app=a channel=n epoch="" offset=0 user=ann client=c`},
		{slog.LevelInfo, hub.Trace{Publication: p}, ""},
		{slog.LevelInfo, hub.Trace{Publication: p, Sampled: true}, `level=INFO msg=published trace_id=0af7 app=a channel=n epoch="" offset=0 user=ann client=c`},
		{slog.LevelInfo, hub.Trace{Publication: p, Sampled: true, Duplicate: true}, "client=c duplicate=true"},
		{slog.LevelInfo, hub.Trace{Publication: p, Sampled: true, Err: errors.New("no engine")}, `client=c error="no engine"`},
		{slog.LevelInfo, hub.Trace{Publication: p, Sampled: true, Delivered: true, Subscribers: 3}, `msg=delivered trace_id=0af7 app=a channel=n epoch="" offset=0 subscribers=3`},
		{slog.LevelWarn, hub.Trace{Publication: p, Sampled: true}, ""},
	} {
		var out output
		rec := newRecorder(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: tt.level})), observeNothing)
		tt.t.App, tt.t.Channel = "a", "n"
		rec.traced(tt.t)
		if got := out.String(); (tt.want == "") != (got == "") || !strings.HasSuffix(strings.TrimSpace(got), tt.want) {
			t.Errorf("%+v: %s, want %s", tt.t, got, tt.want)
		}
	}
}

// The reason for a failed handshake is that of the most specific error.
func TestReasonOf(t *testing.T) {
	cause := errors.New("the cause")
	for want, err := range map[string]*websocket.HandshakeError{
		"Not Found":         {Status: http.StatusNotFound},
		"the cause":         {Err: cause},
		"target: the cause": {Err: &targetError{cause, &websocket.Reject{Status: http.StatusServiceUnavailable}}},
		"said to it":        {Err: &websocket.Reject{Status: 400, Reason: "said to it"}},
		"reason":            {Err: &auth.Error{Status: 401, Reason: "reason"}},
		"the token's cause": {Err: &auth.Error{Status: 401, Reason: "reason", Err: errors.New("the token's cause")}},
	} {
		if got := reasonOf(err); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
