//go:build e2e

package proxies

import (
	"encoding/json"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/handfast/handfast/e2e/internal/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// home is the home directory of one test, which contains all its files.
type home struct{ *harness.User }

func newHome(t *testing.T) *home { return &home{harness.NewUser(t)} }

// serve starts a "handfast serve" and returns the port of its first listener.
func (h *home) serve(args ...string) (port string) {
	h.T.Helper()
	s := h.Serve(args...)
	echo, err := url.Parse(s.First("echo"))
	if err != nil || echo.Port() == "" {
		h.T.Fatalf("the banner %q tells no address", s.Lines)
	}
	return echo.Port()
}

// echoes sends a line to a URL with "handfast dial" and checks the echo.
func (h *home) echoes(url string, args ...string) {
	h.T.Helper()
	if r := h.Handfast("hello\n", append([]string{"dial", url}, args...)...); r.Code != 0 || r.Stdout != "hello\n" {
		h.T.Errorf("dial %s: %+v", url, r)
	}
}

// report contains the fields of explain's report that the tests use.
type report struct {
	Opened    bool `json:"opened"`
	Diagnosis *struct {
		ID        string   `json:"id"`
		Cause     string   `json:"cause"`
		ForOwner  []string `json:"for_owner"`
		ForClient []string `json:"for_client"`
	} `json:"diagnosis"`
	Warnings []struct {
		ID string `json:"id"`
	} `json:"warnings"`
	Idle *struct {
		Held float64 `json:"held_ms"`
		Cut  bool    `json:"cut"`
		How  string  `json:"how"`
	} `json:"idle"`
	text string
}

// explain runs "handfast explain --json", and checks that the exit code agrees with the report.
func (h *home) explain(url string, args ...string) *report {
	h.T.Helper()
	got := h.Handfast("", append([]string{"explain", "--json", "--timeout", "2m", "--step-timeout", "1m", url}, args...)...)
	r := &report{text: got.Stdout}
	if err := json.Unmarshal([]byte(got.Stdout), r); err != nil {
		h.T.Fatalf("explain %s: %v, %+v", url, err, got)
	}
	if good := r.Opened && r.Diagnosis == nil; good != (got.Code == 0) {
		h.T.Errorf("explain %s: exit code %d with opened %v and diagnosis %v", url, got.Code, r.Opened, r.Diagnosis)
	}
	return r
}

// backend starts a server without TLS for use behind a proxy, and returns its port.
func (h *home) backend() string {
	h.T.Helper()
	return h.serve("--listen", "127.0.0.1:0", "--tls", "off")
}

// right checks that a URL works and that explain finds no problem with it.
func (h *home) right(url string, args ...string) {
	h.T.Helper()
	h.echoes(url, args...)
	if r := h.explain(url, args...); !r.Opened || r.Diagnosis != nil {
		h.T.Errorf("got %s", r.text)
	}
}

// diagnosed checks that explain reports one of the given diagnoses for a proxy's port.
func (h *home) diagnosed(port string, ids ...string) *report {
	h.T.Helper()
	r := h.explain("ws://127.0.0.1:" + port + "/echo")
	if r.Diagnosis == nil || !slices.Contains(ids, r.Diagnosis.ID) {
		h.T.Fatalf("want %q, got %s", ids, r.text)
	}
	return r
}

// cutsIdle checks that explain reports a proxy that ends idle connections.
func (h *home) cutsIdle(port string) {
	h.T.Helper()
	r := h.explain("ws://127.0.0.1:"+port+"/echo", "--probe-idle", "20s")
	if r.Idle == nil || !r.Idle.Cut || len(r.Warnings) == 0 || r.Warnings[0].ID != "idle-timeout" {
		h.T.Errorf("got %s", r.text)
	}
}

// explain recognizes a rejection by handfast behind a proxy, and gives handfast's advice instead of suggesting settings of the proxy.
func TestRefusalBehindAProxy(t *testing.T) {
	for name, proxy := range map[string]func(h *home, backend string) string{
		"nginx":   func(h *home, backend string) string { return h.nginx("", backend, http11, upgrade, connection, host) },
		"HAProxy": func(h *home, backend string) string { return h.haproxy(backend) },
		"Caddy":   func(h *home, backend string) string { return h.caddy("\treverse_proxy 127.0.0.1:" + backend) },
	} {
		t.Run(name, func(t *testing.T) {
			h := newHome(t)
			r := h.explain("ws://127.0.0.1:" + proxy(h, h.backend()) + "/nothing")
			if r.Diagnosis == nil || r.Diagnosis.Cause != "handfast has no endpoint at this path for this host." ||
				strings.Contains(r.text, "proxy_set_header") {
				t.Errorf("got %s", r.text)
			}
		})
	}
}
