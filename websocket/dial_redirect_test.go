package websocket

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/handfast/handfast/websocket/handshake"
)

// redirecting is a handler that redirects every client to a location.
func redirecting(status int, location *string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", *location)
		w.WriteHeader(status)
	})
}

func TestDial_Redirects(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		h := &recordingServer{}
		mux := http.NewServeMux()
		mux.Handle("/new", h)
		mux.HandleFunc("/old", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", "/new?x#top")
			w.WriteHeader(status)
		})
		addr := serve(t, mux)
		c, err := dialed(t, "ws://u:p@"+addr+"/old", &DialOptions{Header: http.Header{"X-Token": {"1"}, "Host": {"h.example.com"}}})
		if err != nil {
			t.Errorf("%d: %v", status, err)
			continue
		}
		r := h.last()
		if _, _, ok := r.BasicAuth(); !ok || r.Header.Get("X-Token") != "1" || r.Host != "h.example.com" || r.Method != "GET" {
			t.Errorf("%d: a redirect within an origin lost a field: Host %s, %v", status, r.Host, r.Header)
		}
		if got := c.Handshake().URL.RequestURI(); got != "/new?x" {
			t.Errorf("%d: the handshake was with %s", status, got)
		}
	}
	location := "/elsewhere"
	addr := serve(t, redirecting(304, &location))
	if e := failure(t, "ws://"+addr, nil); e.Status != 304 {
		t.Errorf("304 is not a redirect: %v", e)
	}
}

// Data that may contain a secret is not sent to another origin. It is not sent again if that origin redirects back.
func TestDial_RedirectDropsCredentials(t *testing.T) {
	h := &recordingServer{}
	mux := http.NewServeMux()
	var back string
	mux.Handle("/end", h)
	other := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/back" {
			w.Header().Set("Location", back)
			w.WriteHeader(302)
			return
		}
		h.ServeHTTP(w, r)
	}))
	var location string
	mux.Handle("/", redirecting(307, &location))
	first := serve(t, mux)
	back = "ws://" + first + "/end"
	header := http.Header{
		"Authorization": {"Bearer hunter2"}, "Cookie": {"a=hunter2"}, "X-Api-Key": {"hunter2"}, "Proxy-Authorization": {"hunter2"},
		"Host": {"hunter2.example.com"}, "User-Agent": {"me"}, "Accept-Language": {"de"},
	}
	for _, tt := range []struct{ url, location, auth string }{
		{"ws://" + first, "ws://" + other + "/x", ""},
		{"ws://" + first, "http://" + other + "/back", ""},
		{"ws://user:hunter2@" + first, "//" + other + "/x", ""},
		{"ws://" + first, "ws://new:word@" + other + "/x", "Basic bmV3OndvcmQ="},
	} {
		location = tt.location
		for _, own := range []http.Header{header, {"User-Agent": {"me"}, "Accept-Language": {"de"}}} {
			if _, err := dialed(t, tt.url, &DialOptions{Header: own}); err != nil {
				t.Errorf("%s: %v", tt.location, err)
				continue
			}
			r := h.last()
			if s := fmt.Sprint(r.Host, r.Header); strings.Contains(s, "hunter2") || r.Header.Get("Authorization") != tt.auth {
				t.Errorf("%s: a secret was sent: %s", tt.location, s)
			}
			if r.Header.Get("User-Agent") != "me" || r.Header.Get("Accept-Language") != "de" {
				t.Errorf("%s: a field without a secret was dropped: %v", tt.location, r.Header)
			}
		}
	}
	deny := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(401) }))
	location = "ws://" + deny
	if e := failure(t, "ws://user:hunter2@"+first, nil); e.Status != 401 || !strings.Contains(e.Hint, "redirect") {
		t.Errorf("the hint does not mention the redirect: %v", e)
	}
}

func TestDial_RedirectBounds(t *testing.T) {
	asked := 0
	var handle func(w http.ResponseWriter, r *http.Request)
	addr := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handle(w, r) }))
	handle = func(w http.ResponseWriter, r *http.Request) {
		asked++
		w.Header().Set("Location", "/again")
		w.WriteHeader(302)
	}
	for option, want := range map[int]int{0: 6, 1: 2, 3: 4, -1: 1} {
		asked = 0
		e := failure(t, "ws://"+addr, &DialOptions{MaxRedirects: option})
		if asked != want || e.Stage != handshake.StageStatus || e.Status != 302 || e.Header.Get("Location") != "/again" || !strings.Contains(e.Hint, "MaxRedirects") {
			t.Errorf("MaxRedirects %d: asked %d times: %v", option, asked, e)
		}
	}
	for _, location := range []string{"", "ftp://127.0.0.1/", "http://[", "http://127.0.0.1:0/"} {
		handle = func(w http.ResponseWriter, r *http.Request) {
			w.Header()["Location"] = []string{location}
			w.WriteHeader(302)
		}
		if e := failure(t, "ws://"+addr+"/x", &DialOptions{MaxRedirects: 1}); e.Status != 302 || e.Stage != handshake.StageStatus {
			t.Errorf("Location %q: %v", location, e)
		}
	}
}

func TestDial_RedirectAndTLS(t *testing.T) {
	h := &recordingServer{}
	plain := httptest.NewServer(h)
	defer plain.Close()
	var location string
	secure := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/in" {
			h.ServeHTTP(w, r)
			return
		}
		redirecting(302, &location).ServeHTTP(w, r)
	}))
	defer secure.Close()
	opts := &DialOptions{TLS: roots(secure)}
	for _, location = range []string{plain.URL, strings.Replace(plain.URL, "http", "ws", 1)} {
		e := failure(t, secure.URL, opts)
		if e.Stage != handshake.StageStatus || e.Status != 302 || !strings.Contains(e.Error(), "TLS") {
			t.Errorf("from TLS to a URL without TLS: %v", e)
		}
	}
	up := httptest.NewServer(redirecting(301, &location))
	defer up.Close()
	location = secure.URL + "/in"
	c, err := dialed(t, up.URL, opts)
	if err != nil || c.Handshake().TLS == nil {
		t.Errorf("from a URL without TLS to TLS: %v", err)
	}
}

// An error after a redirect contains the address that failed, without the query.
func TestDial_RedirectedFailure(t *testing.T) {
	location := "/gone?token=hush"
	mux := http.NewServeMux()
	mux.Handle("/old", redirecting(302, &location))
	addr := serve(t, mux)
	e := failure(t, "ws://"+addr+"/old", nil)
	if want := "ws://" + addr + "/gone"; e.Status != 404 || e.Redirected != want || !strings.Contains(e.Error(), "after a redirect to "+want) ||
		strings.Contains(e.Error(), "hush") {
		t.Errorf("%q: %v", e.Redirected, e)
	}
	location = "http://127.0.0.1:1/"
	if e := failure(t, "ws://"+addr+"/old", nil); e.Redirected != "ws://127.0.0.1:1/" || e.Stage != handshake.StageTCP {
		t.Errorf("%q: %v", e.Redirected, e)
	}
	location = "/old"
	if e := failure(t, "ws://"+addr+"/old", nil); e.Redirected != "ws://"+addr+"/old" || e.Status != 302 {
		t.Errorf("%q: %v", e.Redirected, e)
	}
	if e := failure(t, "ws://"+addr+"/none", nil); e.Redirected != "" || e.Status != 404 {
		t.Errorf("%q: %v", e.Redirected, e)
	}
}

// Trace is called with each request and its response.
func TestDial_Trace(t *testing.T) {
	location := "/new"
	mux := http.NewServeMux()
	mux.Handle("/old", redirecting(307, &location))
	mux.Handle("/new", &recordingServer{})
	addr := serve(t, mux)
	var got []string
	opts := &DialOptions{Trace: func(req *handshake.Request, answer *handshake.Response) {
		if answer == nil {
			got = append(got, req.Target)
		} else {
			got = append(got, fmt.Sprint(req.Target, " ", answer.Status))
		}
	}}
	if _, err := dialed(t, "ws://"+addr+"/old", opts); err != nil {
		t.Fatal(err)
	}
	if want := "/old, /old 307, /new, /new 101"; strings.Join(got, ", ") != want {
		t.Errorf("%q", got)
	}
}
