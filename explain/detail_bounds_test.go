package explain

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/internal/chain"
)

// Every suggested interval is the largest in the list that is at most three quarters of the idle timeout.
func TestPingIntervals(t *testing.T) {
	list := []int{300, 240, 180, 120, 90, 60, 50, 45, 40, 30, 25, 20, 15, 10, 5, 4, 3, 2, 1}
	for i, seconds := range list {
		want := time.Duration(seconds) * time.Second
		held := (want*4 + 2) / 3
		if got := pingInterval(held); got != want {
			t.Errorf("%v: %v, want %v", held, got, want)
		}
		if i+1 < len(list) {
			want = time.Duration(list[i+1]) * time.Second
		} else {
			want = 750 * time.Millisecond
		}
		if got := pingInterval(held - 4); got != want && got != time.Second {
			t.Errorf("a little less than %v: %v, want %v", held, got, want)
		}
	}
	if got := pingInterval(time.Millisecond); got != 10*time.Millisecond {
		t.Errorf("a millisecond: %v", got)
	}
}

// recognizable returns true as soon as the bytes suffice to recognize another protocol than HTTP/1, and not earlier.
func TestRecognizable(t *testing.T) {
	for b, want := range map[string]bool{
		"": false, "SSH-2.0": false, "SSH\n": true, "\n": true, "SSH-2.0-x": true, "SSH-2.0-": false,
		"\x15": false, "\x15\x03": true, "\x16\x03": true, "\x17\x03": false, "\x03\x15": false, "\x03\x16": false,
		"\x00\n": false, "\x00\x00\x0a\x04": false, "\x00\x00\x0a\x04\x00\x00\x00\x00\x00": true,
	} {
		if got := recognizable([]byte(b)); got != want {
			t.Errorf("%q: %v", b, got)
		}
	}
}

// A report quotes some parts of a received text, and omits others.
func TestDetailQuotes(t *testing.T) {
	offering := func(names ...string) *Report {
		r := answered(101, "", "Sec-WebSocket-Protocol: b")
		r.Target.Subprotocols = names
		return r
	}
	for _, c := range []struct {
		name  string
		fault Fault
		r     *Report
		want  string
		not   string
	}{
		{"another protocol", FaultStatus426, answered(426, "", "Upgrade: h2c"), "than WebSocket on this path: h2c.", "TLS is what"},
		{"none offered", FaultSubprotocolUnasked, offering(), "offered: none", "Capitals"},
		{"one offered", FaultSubprotocolUnasked, offering("a"), "offered: a", "Capitals"},
		{"two offered", FaultSubprotocolUnasked, offering("a", "c"), "offered: a, c", "Capitals"},
		{"cut, and nothing to suggest", FaultIdle, &Report{Idle: &Idle{Cut: true, How: "FIN"}}, "", "A ping every"},
		{"certificates", FaultCertUnknown, &Report{Target: &Target{}, TLS: &TLS{Chain: []Certificate{{Subject: "leaf"}, {Subject: "ca"}}}},
			"certificate 2: ca", "certificate 0"},
		{"the first", FaultCertUnknown, &Report{Target: &Target{}, TLS: &TLS{Chain: []Certificate{{Subject: "leaf"}}}}, "certificate 1: leaf", "certificate 2"},
		{"an alert", FaultClientCertRefused, &Report{Target: &Target{}, TLS: &TLS{Alert: "certificate required"}}, "TLS alert: certificate required", "speaks"},
		{"an alert about the certificate", FaultClientCertRefused, &Report{TLS: &TLS{Alert: "bad certificate"}}, "The server does not accept", "Most likely"},
		{"an alert that names nothing, with a certificate", FaultClientCertRefused, &Report{TLS: &TLS{Alert: "handshake failure"}},
			"Most likely it does not accept", "The server does not accept"},
		{"certificate required", FaultClientCert, &Report{TLS: &TLS{Alert: "certificate required"}}, "The server requires a client", "Most likely"},
		{"an alert that names nothing, without a certificate", FaultClientCert, &Report{TLS: &TLS{Alert: "handshake failure"}},
			"Most likely it requires one", "The server requires a client"},
		{"insufficient security", FaultTLSCipher, &Report{TLS: &TLS{Alert: "insufficient security level"}}, "The server and the client have no", "Most likely"},
		{"an alert that names nothing", FaultTLSCipher, &Report{TLS: &TLS{Alert: "handshake failure"}}, "Most likely the server and", "The server and the client have"},
		{"no intermediate certificate", FaultCertIntermediate, &Report{TLS: &TLS{Chain: []Certificate{{Subject: "leaf", Issuer: "Inner"}}}},
			"The server does not send the certificate of Inner. Most likely", "The missing certificate"},
		{"name servers", FaultNameServer, &Report{Target: &Target{}, Steps: []Step{{Stage: StageDNS, Facts: []Fact{{"asked", "192.0.2.53"}}}}},
			"asked: 192.0.2.53", "received:"},
	} {
		f := Finding{Fault: c.fault, Stage: StageDNS}
		if c.r.TLS != nil {
			f.Stage = StageTLS
		}
		d := diagnose(c.r, f)
		text := strings.Join(slices.Concat([]string{d.Cause}, d.ForOwner, d.ForClient, d.Evidence), "\n")
		if !strings.Contains(text, c.want) || strings.Contains(text, c.not) {
			t.Errorf("%s: want %q and not %q in:\n%s", c.name, c.want, c.not, text)
		}
	}
}

// Only the violated rules about a certificate chain are reported as failed.
func TestTrustRules(t *testing.T) {
	for fault, want := range map[Fault]string{"": "", FaultCertExpired: chain.ClauseValidity, FaultCertNotYet: chain.ClauseValidity,
		FaultCertName: chain.ClauseName, FaultCertUnknown: chain.ClausePath, FaultCertSelfSigned: chain.ClausePath,
		FaultCertIntermediate: chain.ClausePath, FaultCertOther: chain.ClausePath} {
		sec := &secure{cfg: &tls.Config{ServerName: "a.example"}, info: &TLS{Reason: "good", Chain: []Certificate{{Names: []string{"a.example"}}}}}
		if fault != "" {
			sec.problems = []trustProblem{{fault, want, "is broken"}}
		}
		for _, c := range sec.trustRules() {
			if c.Held != (c.Clause != want) || (c.Detail == "is broken") == c.Held {
				t.Errorf("%s: %+v", fault, c)
			}
		}
	}
}

// If the caller's resolver connects to another name server, that server is recorded.
func TestAskedServers(t *testing.T) {
	var asked askedServers
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	r := asked.wrap(&net.Resolver{Dial: func(ctx context.Context, _, address string) (net.Conn, error) {
		if address == "192.0.2.9:53" {
			return nil, errors.New("no route")
		}
		return (&net.Dialer{}).DialContext(ctx, "tcp", l.Addr().String())
	}})
	for _, address := range []string{"192.0.2.1:53", "192.0.2.2:53", "192.0.2.9:53"} {
		if c, err := r.Dial(bounded.Context(t), "udp", address); err == nil {
			c.Close()
		}
	}
	if want := []string{l.Addr().String(), "192.0.2.9:53"}; !slices.Equal(asked.servers, want) {
		t.Errorf("asked %v, want %v", asked.servers, want)
	}
}

// An unusable proxy setting ends the explanation with a step that contains the reason.
func TestProxyThatCannotBeUsed(t *testing.T) {
	for setting, want := range map[string]string{"ftp://127.0.0.1:1": "does not begin with http", "http://:1": "no host", "": "not a URL"} {
		r := Explain(bounded.Context(t), "ws://a.example/", &Options{Proxy: func(*http.Request) (*url.URL, error) {
			if setting == "" {
				return nil, errors.New("bad")
			}
			return url.Parse(setting)
		}})
		last := r.Steps[len(r.Steps)-1]
		if r.Diagnosis == nil || r.Diagnosis.ID != FaultProxyUnreachable || last.OK || !strings.Contains(last.Result, want) {
			t.Errorf("%q: %+v", setting, last)
		}
	}
}
