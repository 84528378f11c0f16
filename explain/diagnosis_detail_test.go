package explain

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestRFC9110_11_6_1_Challenges(t *testing.T) {
	for _, c := range []struct {
		in   []string
		want []challenge
	}{
		{[]string{`Basic realm="chat, staff"`}, []challenge{{"Basic", []Field{{"realm", "chat, staff"}}}}},
		{[]string{`Newauth realm="apps", type=1, title="Login to \"apps\"", Basic realm="simple"`}, []challenge{
			{"Newauth", []Field{{"realm", "apps"}, {"type", "1"}, {"title", `Login to "apps"`}}}, {"Basic", []Field{{"realm", "simple"}}},
		}},
		{[]string{"Negotiate, NTLM"}, []challenge{{"Negotiate", nil}, {"NTLM", nil}}},
		{[]string{"Negotiate", "Bearer"}, []challenge{{"Negotiate", nil}, {"Bearer", nil}}},
		{[]string{"NTLM TlRMTVNTUAAC"}, []challenge{{"NTLM", []Field{{"", "TlRMTVNTUAAC"}}}}},
		{[]string{`Bearer realm="x",error="invalid_token" , scope="a b"`}, []challenge{
			{"Bearer", []Field{{"realm", "x"}, {"error", "invalid_token"}, {"scope", "a b"}}},
		}},
		{[]string{""}, nil},
		{[]string{`realm="nobody"`}, nil},
		{[]string{`Basic realm="no end`}, []challenge{{"Basic", []Field{{"realm", `"no end`}}}}},
	} {
		got := parseChallenges(c.in)
		same := func(a, b challenge) bool { return a.scheme == b.scheme && slices.Equal(a.params, b.params) }
		if !slices.EqualFunc(got, c.want, same) {
			t.Errorf("%q is %+v, want %+v", c.in, got, c.want)
		}
	}
}

// Each detail that a report can contain adds a text to the diagnosis.
func TestDetailOfAReport(t *testing.T) {
	location := func(to string) *Report { return answered(301, "", "Location: "+to) }
	with := func(r *Report, change func(*Report)) *Report { change(r); return r }
	chain := func(c ...Certificate) *Report {
		return &Report{Started: time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC), Target: &Target{Host: "chat.example"}, TLS: &TLS{Chain: c}}
	}
	day := func(month time.Month, d int) time.Time { return time.Date(2026, month, d, 0, 0, 0, 0, time.UTC) }
	for _, c := range []struct {
		name  string
		fault Fault
		r     *Report
		want  string
	}{
		{"to TLS", FaultStatus301, location("https://chat.example/ws"), "use wss:// instead of ws://"},
		{"to a login", FaultStatus302, location("/login?next=/ws"), "leads to a login"},
		{"to a slash", FaultStatus308, location("/ws/"), "use the path /ws/"},
		{"to a slash behind an escape", FaultStatus308, with(location("/w%20s/"), func(r *Report) { r.Target.Path = "/w%20s?x=1" }),
			"use the path /w%20s/"},
		{"elsewhere", FaultStatus307, location("https://other.example/ws"), "another host"},
		{"without a token", FaultStatus401, answered(401, "", "WWW-Authenticate: Bearer"), "the server received no token"},
		{"with a token, and a challenge without an error", FaultStatus401, with(answered(401, "", "WWW-Authenticate: Bearer"), func(r *Report) {
			r.Target.Credentials = []string{"bearer"}
		}), "It names no error, so whether the server received the token is unknown."},
		{"with a bad token", FaultStatus401, answered(401, "", `WWW-Authenticate: Bearer error="invalid_token"`), "get a new one"},
		{"with a small token", FaultStatus401, answered(401, "", `WWW-Authenticate: Bearer error="insufficient_scope", scope="chat"`),
			`Scope: "chat"`},
		{"a token twice", FaultStatus401, answered(401, "", `WWW-Authenticate: Bearer error="invalid_request"`), "twice"},
		{"a key", FaultStatus401, answered(401, "", `WWW-Authenticate: ApiKey realm="x"`), "--api-key KEY"},
		{"a digest", FaultStatus401, answered(401, "", `WWW-Authenticate: Digest realm="x", nonce="y"`), "No browser supports"},
		{"an unknown scheme", FaultStatus401, answered(401, "", `WWW-Authenticate: Mystery`), "does not know"},
		{"a credential", FaultStatus401, with(answered(401, ""), func(r *Report) { r.Target.Credentials = []string{"bearer"} }),
			"The request had a credential (bearer)"},
		{"a proxy with Kerberos", FaultProxyAuth, answered(407, "", "Proxy-Authenticate: Negotiate"), "local helper"},
		{"seconds", FaultStatus503, answered(503, "", "Retry-After: 7"), "in 7 seconds"},
		{"a date", FaultStatus429, answered(429, "", "Retry-After: Wed, 21 Oct 2026 07:28:00 GMT"), "after Wed, 21 Oct 2026 07:28:00 UTC"},
		{"no time", FaultStatus429, answered(429, "", "Retry-After: soon"), "no valid Retry-After"},
		{"methods", FaultStatus405, answered(405, "", "Allow: POST, PUT"), "POST, PUT"},
		{"another protocol", FaultStatus426, answered(426, "", "Upgrade: TLS/1.2"), "use wss://"},
		{"a version", FaultVersion, answered(426, "", "Sec-WebSocket-Version: 8"), "Sec-WebSocket-Origin"},
		{"capitals", FaultSubprotocolUnasked, with(answered(101, "", "Sec-WebSocket-Protocol: Chat"), func(r *Report) {
			r.Target.Subprotocols = []string{"chat"}
		}), "Case matters"},
		{"no origin tried", FaultStatus403, answered(403, ""), "were not tried"},
		{"a credential without the right", FaultStatus403, with(answered(403, ""), func(r *Report) { r.Target.Credentials = []string{"cookie"} }),
			"The request had a credential (cookie): its user may lack permission"},
		{"origins tried", FaultStatus403, with(answered(403, ""), func(r *Report) {
			r.Origins = []OriginTry{{Origin: "https://chat.example", Status: 403}, {Status: 403}}
		}), "with the origin https://chat.example and without an Origin header too"},
		{"an origin behind nginx", FaultOrigin, answered(403, ""), "proxy_set_header Host $http_host;"}, // the variable $host has no port
		{"an origin taken", FaultOrigin, with(answered(403, ""), func(r *Report) {
			r.Origins = []OriginTry{{Status: 101, Opened: true}}
		}), "accepts the request without an Origin header"},
		{"a cookie", FaultCrossSite, with(answered(101, ""), func(r *Report) { r.Target.Credentials = []string{"cookie"} }), "Restrict the origins first"},
		{"one that expired", FaultCertExpired, chain(Certificate{NotBefore: day(1, 1), NotAfter: day(4, 1)}), "30 days ago"},
		{"an authority that expired", FaultCertExpired, chain(Certificate{NotBefore: day(1, 1), NotAfter: day(9, 1)},
			Certificate{Subject: "Old CA", NotBefore: day(1, 1), NotAfter: day(4, 30)}), "Old CA, which the server also sends, expired on 2026-04-30"},
		{"one of tomorrow", FaultCertNotYet, chain(Certificate{NotBefore: day(5, 2), NotAfter: day(9, 1)}), "in 24 hours"},
		{"other names", FaultCertName, chain(Certificate{Names: []string{"a.example", "b.example"}}), "not for chat.example but for a.example, b.example"},
		{"no names", FaultCertName, chain(Certificate{}), "no host at all"},
		{"an alert", FaultClientCertRefused, &Report{TLS: &TLS{Alert: "expired certificate"}}, "client's certificate has expired"},
		{"a banner", FaultNotHTTP, &Report{Steps: []Step{{Received: []Line{{Text: "SSH-2.0-x"}}}}}, "an SSH server"},
		{"1013", FaultClosedAtOnce, &Report{Close: &Close{Code: 1013}}, "reconnect later"},
		{"4403", FaultClosedAtOnce, &Report{Close: &Close{Code: 4403, Reason: "no"}}, "HTTP status 403"},
		{"4000", FaultClosedAtOnce, &Report{Close: &Close{Code: 4000}}, "check the application's documentation"},
		{"2999", FaultClosedAtOnce, &Report{Close: &Close{Code: 2999}}, "not registered"},
		{"a reset", FaultNoCloseFrame, &Report{Close: &Close{How: "RST"}}, "connection was reset"},
		{"a minute", FaultIdle, &Report{Idle: &Idle{Cut: true, How: "FIN", Held: Duration(60200 * time.Millisecond),
			Suggest: Duration(45 * time.Second)}}, "nginx (proxy_read_timeout)"},
		{"a ping", FaultIdle, &Report{Idle: &Idle{Cut: true, How: "close frame", Code: 1001, Held: Duration(10 * time.Second),
			Suggest: Duration(5 * time.Second)}}, "A ping every 5s"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := diagnose(c.r, Finding{Fault: c.fault})
			if d.ID != c.fault {
				t.Errorf("it is named %s", d.ID)
			}
			text := strings.Join(slices.Concat([]string{d.Cause}, d.ForOwner, d.ForClient), "\n")
			if !strings.Contains(text, c.want) {
				t.Errorf("%q is not in:\n%s", c.want, text)
			}
		})
	}
}

// If the lookups of both address families fail in the same way, both are quoted. Details that the finding already contains are not.
func TestEvidenceOfBothFamilies(t *testing.T) {
	const none = "none in 1ms: server misbehaving"
	r := &Report{Steps: []Step{{Stage: StageDNS, Facts: []Fact{{"AAAA", none}, {"A", none}, {"A", none}}}}}
	got := evidence(r, Finding{Stage: StageDNS, Detail: "no address: server misbehaving"})
	if want := []string{"no address: server misbehaving", "AAAA: " + none, "A: " + none}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
