package explain

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
)

// If the server rejects the request, the diagnosis mentions a Host that the caller has set and that differs from the URL.
func TestHostThatDiffersFromTheURL(t *testing.T) {
	for _, tt := range []struct {
		name, url, host, origin string
		want                    string // part of the cause; "" means that the Host is not mentioned
		step                    string
	}{
		{"another name", "ws://192.0.2.1/", "box.example", "", `Host is "box.example", but the URL names "192.0.2.1" and the Origin is "http://192.0.2.1", which`,
			"    --origin http://box.example"},
		{"another name and its origin", "ws://192.0.2.1/", "box.example", "http://box.example", `Host is "box.example", but the URL names "192.0.2.1", which`, "Omit -H Host"},
		{"another name and the origin null", "ws://192.0.2.1/", "box.example", "null", `Host is "box.example", but the URL names "192.0.2.1", which`, "Omit -H Host"},
		{"another port", "ws://192.0.2.1:81/", "192.0.2.1", "", `Host is "192.0.2.1", but the URL names "192.0.2.1:81" and`, "    --origin http://192.0.2.1"},
		{"IPv6", "ws://[2001:db8::1]/", "box.example", "", `but the URL names "[2001:db8::1]" and`, "Omit -H Host"},
		{"the same name", "ws://192.0.2.1/", "192.0.2.1", "", "", ""},
		{"the same name with the default port", "ws://192.0.2.1/", "192.0.2.1:80", "", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				opts := inMemory(t, func(v *exchange) { v.writeText("HTTP/1.1 404 Not Found\n\n") })
				opts.Header, opts.Origin = http.Header{"Host": {tt.host}}, tt.origin
				d := Explain(t.Context(), tt.url, opts).Diagnosis
				if d == nil || !strings.Contains(d.Cause, tt.want) || strings.Contains(d.Cause, "Host is") != (tt.want != "") {
					t.Fatalf("%+v", d)
				}
				sent := slices.ContainsFunc(d.Evidence, func(s string) bool { return strings.Contains(s, "Host: "+tt.host+", Origin: ") })
				if steps := strings.Join(d.ForClient, "\n"); !strings.Contains(steps, tt.step) || sent != (tt.want != "") {
					t.Errorf("%s\n%q", steps, d.Evidence)
				}
			})
		})
	}
}

// The origin of the Host that the caller has set is one of the origins that are tried: a server may compare Origin and Host.
func TestOriginOfTheHostIsTried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := inMemory(t, func(v *exchange) {
			if v.req.Header.Get("Origin") != "http://"+v.req.Host {
				v.writeText("HTTP/1.1 403 Forbidden\n\n")
				return
			}
			v.open("")
		})
		opts.Header = http.Header{"Host": {"box.example"}}
		d := Explain(t.Context(), "ws://192.0.2.1/", opts).Diagnosis
		if d == nil || d.ID != FaultOrigin || !strings.Contains(strings.Join(d.ForClient, "\n"), "It accepts the request with the origin http://box.example.") {
			t.Errorf("%+v", d)
		}
	})
}
