package cli

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/handfast/handfast/internal/bounded"
)

// fakeAdmin is a server that gives the same answer to every request, except that an admin listener answers GET / properly.
type fakeAdmin struct {
	admin                    bool // whether the server is an admin listener
	status                   int
	text, challenge, address string
	token                    string // the token in the last request
}

func (o *fakeAdmin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.token = r.Header.Get("Authorization")
	if o.admin && r.URL.Path == "/" {
		_, _ = w.Write([]byte("handfast admin\n\nGET /\n"))
		return
	}
	if o.challenge != "" {
		w.Header().Set("WWW-Authenticate", o.challenge)
	}
	w.Header().Set("Location", "http://127.0.0.1:1/")
	w.WriteHeader(o.status)
	_, _ = w.Write([]byte(o.text))
}

// startFakeAdmin starts another server.
func startFakeAdmin(t *testing.T) *fakeAdmin {
	t.Helper()
	o := &fakeAdmin{}
	s := httptest.NewServer(o)
	t.Cleanup(s.Close)
	o.address = s.Listener.Addr().String()
	return o
}

const adminChallenge = `Bearer realm="handfast admin"`

// If the server has no balancer, the error says whether it is an admin listener. The token is sent to the server, but not to the
// destination of a redirect.
func TestBalanceAdminAnswers(t *testing.T) {
	o := startFakeAdmin(t)
	const other = " is not an admin listener: it answered GET /balance with "
	for _, c := range []struct {
		admin  bool
		status int
		text   string
		want   string
	}{
		{true, 200, `{"endpoints": []}`, "has no balancer\n  next step: give the address of a balancer's admin listener"},
		{true, 200, `<html>`, "is not from a balancer"},
		{true, 400, "server: no\nnext step: write it\nmore", "the balancer rejected the request: server: no\n  next step: write it"},
		{true, 404, "404 Not Found\n\nmore", o.address + " answered: 404 Not Found\n  next step: handfast balance status lists"},
		{true, 502, "<html>\n", "answered with status 502: <html>\n"},
		{false, 200, `{}`, other + "200 OK\n"},
		{false, 200, `<html>`, other + "200 OK\n  next step: give the address of the admin listener with --admin, not that for clients: handfast balance prints this address when it starts"},
		{false, 307, "", other + "307 Temporary Redirect\n"},
		{false, 400, "Client sent an HTTP request to an HTTPS server.\n", other + "400 Bad Request\n"},
		{false, 401, "", other + "401 Unauthorized\n"},
		{false, 404, "404 Not Found\n", other + "404 Not Found\n"},
		{false, 421, "the admin listener answers only requests for localhost\n", "the admin listener answers only requests for localhost\n  next step: name it by a loopback address"},
		{false, 599, "", other + "599\n"},
	} {
		o.admin, o.status, o.text = c.admin, c.status, c.text
		var stdout, stderr buffer
		code := Run(context.Background(), []string{"balance", "status", "--admin", o.address}, System{
			Program: "handfast", Stdin: strings.NewReader(""), Stdout: &stdout, Stderr: &stderr,
			Getenv: func(name string) string { return map[string]string{adminTokenVariable: "secret"}[name] },
		})
		if code != exitFailed || stdout.String() != "" || !strings.Contains(stderr.String(), c.want) {
			t.Errorf("%d %q: exit %d, %q, %q", c.status, c.text, code, stdout.String(), stderr.String())
		}
		if o.token != "Bearer secret" {
			t.Errorf("token %q", o.token)
		}
	}
	o.status, o.challenge = http.StatusUnauthorized, adminChallenge
	if got := runCommand(t, "balance", "status", "--admin", "http://"+o.address+"/"); got.code != exitFailed || !strings.Contains(got.stderr, "requires a token\n  next step: set HANDFAST_ADMIN_TOKEN") {
		t.Errorf("%+v", got)
	}
	for _, c := range []struct{ addr, want string }{
		{"127.0.0.1:1", "the admin listener at 127.0.0.1:1 cannot be reached: "},
		{"127.0.0.1:1", "check that the balancer is running, and that --admin names its admin listener: handfast balance prints this address when it starts"},
		{silent(t), " is not an admin listener: it does not answer with HTTP: "},
	} {
		if got := runCommand(t, "balance", "status", "--admin", c.addr); got.code != exitFailed || !strings.Contains(got.stderr, c.want) {
			t.Errorf("%+v", got)
		}
	}
}

// silent returns the address of a server that closes each connection.
func silent(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	return l.Addr().String()
}

// The port for clients is not an admin listener, with or without TLS. --admin accepts the address in the form in which a server prints it.
func TestAdminIsNotForClients(t *testing.T) {
	r := startBalance(t, serverOf(peer(t, echo)))
	clients := strings.TrimSuffix(strings.TrimPrefix(r.url, "ws://"), "/")
	s := startServe(t, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")
	t.Cleanup(func() {
		s.signals <- os.Interrupt
		bounded.Receive(t, s.code)
	})
	secure := strings.TrimSuffix(strings.TrimPrefix(s.banner["page"], "https://"), "/")
	for _, tt := range []struct {
		args []string
		addr string
	}{
		{[]string{"balance", "status"}, clients}, {[]string{"balance", "drain", "127.0.0.1:1"}, clients}, {[]string{"reload"}, clients},
		{[]string{"balance", "top"}, secure}, {[]string{"reload"}, secure},
	} {
		got := runCommand(t, append(tt.args, "--admin", tt.addr)...)
		if got.code != exitFailed || !strings.Contains(got.stderr, tt.addr+" is not an admin listener: it answered ") || !strings.Contains(got.stderr, "handfast balance prints this address when it starts") {
			t.Errorf("%s: %+v", tt.args, got)
		}
	}
	if got := runCommand(t, "reload", "--admin", s.banner["admin"]); got.code != exitOK {
		t.Errorf("the address in the form of the banner: %+v", got)
	}
	if got := runCommand(t, "balance", "status", "--admin", s.banner["admin"]); got.code != exitFailed || !strings.Contains(got.stderr, "has no balancer\n") {
		t.Errorf("the admin listener of another server: %+v", got)
	}
	if got := runCommand(t, "reload", "--admin", "https://"+secure); got.code != exitUsage || !strings.Contains(got.stderr, "admin listeners speak HTTP without TLS") {
		t.Errorf("https: %+v", got)
	}
}
