package explain

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/handfast/handfast/websocket"
)

// A diagnosis states only what the report proves. never is in the text if the diagnosis states more, and want is the suspicion or the fact.
func TestDiagnosisStatesOnlyWhatIsProven(t *testing.T) {
	with := func(r *Report, change func(*Report)) *Report { change(r); return r }
	envoy := func(header ...string) *Report {
		r := answered(403, "", append([]string{"Server: envoy"}, header...)...)
		r.WithoutUpgrade = 404
		return r
	}
	for _, c := range []struct {
		name        string
		found       Fault
		r           *Report
		detail      string
		want, never string
	}{
		{"a path that contains the name of a login", FaultStatus302,
			answered(302, "", "Location: /authors/assigning"), "", "", "has no session"},
		{"a path with the segment login", FaultStatus302,
			answered(302, "", "Location: /users/sign_in?x"), "", "most likely the request has no session", ""},
		{"a sibling host, which may share cookies", FaultStatus302,
			answered(302, "", "Location: https://www.chat.example/ws"), "", "may differ", "its own cookies"},
		{"a credential that may be lost on the way", FaultStatus401,
			with(answered(401, "no\n"), func(r *Report) { r.Target.Credentials = []string{"bearer"} }), "",
			"most likely it is wrong, expired or revoked", ""},
		{"405", FaultStatus405,
			answered(405, "", "Allow: POST"), "", "belongs to something else, or the Upgrade", "this one belongs to something else"},
		{"a 403 from behind Envoy, which names itself in each response", FaultStatus403,
			envoy("X-Envoy-Upstream-Service-Time: 2"), "", "", "rejects the upgrade"},
		{"a 403 that may be from Envoy", FaultStatus403, envoy(), "", "Most likely Envoy rejects the upgrade", ""},
		{"511 over TLS with a trusted certificate", FaultStatus500,
			with(answered(511, ""), func(r *Report) { r.TLS = &TLS{Trusted: true} }), "",
			"it is from the server", "not from the server"},
		{"511", FaultStatus500, answered(511, ""), "", "most likely not from the server", ""},
		{"a port that is silent on HTTP and responds to TLS", FaultPlainToTLS,
			&Report{Target: &Target{}}, "x; the port responds to TLS", "most likely it expects TLS", "to a port that expects"},
		{"another status without Upgrade behind nginx", FaultStatus404,
			with(answered(404, "nothing", "Server: nginx"), func(r *Report) { r.WithoutUpgrade = 200 }), "",
			"which most likely forwards the upgrade", ""},
		{"a server that says that the upgrade is missing, behind nginx", FaultStatus400,
			answered(400, "missing Upgrade header", "Server: nginx"), "",
			"The server says that it did not receive", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			stage := StageResponse
			d := diagnose(c.r, Finding{Fault: c.found, Stage: stage, Detail: c.detail})
			text := strings.Join(append(append([]string{d.Cause}, d.ForOwner...), d.ForClient...), "\n")
			if !strings.Contains(text, c.want) || c.never != "" && strings.Contains(text, c.never) {
				t.Errorf("%s", text)
			}
		})
	}
}

// Each text with which this library says that a request is not an upgrade is recognized. The table of texts once had older ones.
func TestOwnTextsAboutAMissingUpgrade(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := websocket.Accept(w, r, nil); err == nil {
			t.Error("the request opened a WebSocket")
		}
	}))
	defer server.Close()
	const rest = "Host: chat.example\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
	for _, head := range []string{
		"GET /ws HTTP/1.0\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n",
		"GET /ws HTTP/1.1\r\nConnection: close\r\n",
		"GET /ws HTTP/1.1\r\nUpgrade: websocket\r\nConnection: close\r\n",
		"GET /ws HTTP/1.1\r\nUpgrade: h2c\r\nConnection: Upgrade, close\r\n",
	} {
		c, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err = io.WriteString(c, head+rest); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 4096)
		n, _ := c.Read(b) //nolint:errcheck // without data, the response is nil
		c.Close()
		a := parseResponse(strings.ReplaceAll(string(b[:n]), "\r\n", "\n"))
		if a == nil || !reportsMissingUpgrade(a) {
			t.Errorf("%q is not recognized in the response to %q", b[:n], head)
		}
	}
}

// resetOnWrite is a connection whose reset is reported to the write, so that a read gets only the end of the stream.
type resetOnWrite struct{ net.Conn }

func (resetOnWrite) Write([]byte) (int, error) {
	return 0, &net.OpError{Op: "write", Err: syscall.ECONNRESET}
}
func (resetOnWrite) Read([]byte) (int, error)        { return 0, io.EOF }
func (resetOnWrite) SetDeadline(time.Time) error     { return nil }
func (resetOnWrite) SetReadDeadline(time.Time) error { return nil }

// A reset that the write of the request has received is not reported as a close.
func TestResetReportedToTheWrite(t *testing.T) {
	l := &link{Conn: resetOnWrite{}, raw: resetOnWrite{}}
	if _, err := l.send([]byte("GET / HTTP/1.1\r\n\r\n")); !isReset(err) {
		t.Fatalf("the write has the error %v", err)
	}
	if h := readHead(l, time.Now().Add(time.Minute)); h.problem == nil || h.problem.fault != FaultReset {
		t.Errorf("the problem is %+v", h.problem)
	}
}
