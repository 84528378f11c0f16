package console

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/handfast/handfast/internal/bounded"
)

func TestMain(m *testing.M) { os.Exit(bounded.Main(m)) }

func get(mux *http.ServeMux, method, path string, header http.Header) *http.Response {
	w := httptest.NewRecorder()
	r := httptest.NewRequest(method, path, nil)
	r.Header = header
	mux.ServeHTTP(w, r)
	return w.Result()
}

// The page of the admin listener has the same policy, and its scripts do not insert markup.
func TestAdminPage(t *testing.T) {
	mux := http.NewServeMux()
	mux.Handle("GET /{$}", RegisterAdmin(mux))
	for path, contentType := range map[string]string{
		"/": "text/html; charset=utf-8", "/console/admin.js": "text/javascript; charset=utf-8", "/console/balance.js": "text/javascript; charset=utf-8",
		"/console/admin.css": "text/css; charset=utf-8",
	} {
		resp := get(mux, "GET", path, nil)
		text, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != 200 || resp.Header.Get("Content-Type") != contentType || !strings.HasPrefix(resp.Header.Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%s: %d %v, %v", path, resp.StatusCode, resp.Header, err)
		}
		if strings.Contains(string(text), "innerHTML") || strings.Contains(string(text), "http://") || strings.Contains(string(text), "https://") {
			t.Errorf("%s: %s", path, text)
		}
	}
}

func TestPage(t *testing.T) {
	mux := http.NewServeMux()
	Register(mux)
	for _, tt := range []struct {
		method, path, contentType string
		status                    int
	}{
		{"GET", "/", "text/html; charset=utf-8", 200},
		{"HEAD", "/", "text/html; charset=utf-8", 200},
		{"GET", "/console/console.js", "text/javascript; charset=utf-8", 200},
		{"GET", "/console/endpoints.js", "text/javascript; charset=utf-8", 200},
		{"GET", "/console/attempt.js", "text/javascript; charset=utf-8", 200},
		{"GET", "/console/words.js", "text/javascript; charset=utf-8", 200},
		{"GET", "/console/formats.js", "text/javascript; charset=utf-8", 200},
		{"GET", "/console/log.js", "text/javascript; charset=utf-8", 200},
		{"GET", "/console/chat.js", "text/javascript; charset=utf-8", 200},
		{"GET", "/console/channels.js", "text/javascript; charset=utf-8", 200},
		{"GET", "/console/console.css", "text/css; charset=utf-8", 200},
		{"GET", "/console/icon.svg", "image/svg+xml", 200},
		{"GET", "/console/", "text/plain; charset=utf-8", 404},
		{"GET", "/console/index.html", "text/plain; charset=utf-8", 404},
		{"GET", "/nothing", "text/plain; charset=utf-8", 404},
		{"POST", "/", "text/plain; charset=utf-8", 405},
	} {
		t.Run(tt.method+" "+tt.path, func(t *testing.T) {
			resp := get(mux, tt.method, tt.path, nil)
			if resp.StatusCode != tt.status || resp.Header.Get("Content-Type") != tt.contentType {
				t.Fatalf("got %d %s", resp.StatusCode, resp.Header.Get("Content-Type"))
			}
			if tt.status != 200 {
				return
			}
			if csp := resp.Header.Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none'") {
				t.Errorf("policy %q", csp)
			}
			again := get(mux, tt.method, tt.path, http.Header{"If-None-Match": {resp.Header.Get("ETag")}})
			if again.StatusCode != http.StatusNotModified {
				t.Errorf("with the ETag: %d", again.StatusCode)
			}
		})
	}
}

// Everything that the page refers to is served by the same server.
func TestPageRefersToItself(t *testing.T) {
	mux := http.NewServeMux()
	Register(mux)
	body, err := io.ReadAll(get(mux, "GET", "/", nil).Body)
	if err != nil {
		t.Fatal(err)
	}
	refs := regexp.MustCompile(`(?:src|href)="([^"]*)"`).FindAllStringSubmatch(string(body), -1)
	if len(refs) != 5 {
		t.Fatalf("%d references", len(refs))
	}
	for _, ref := range refs {
		if resp := get(mux, "GET", ref[1], nil); !strings.HasPrefix(ref[1], "/") || resp.StatusCode != 200 {
			t.Errorf("%s: %d", ref[1], resp.StatusCode)
		}
	}
	for _, inline := range []string{"style=", "onclick=", "<style", "<script>"} {
		if strings.Contains(string(body), inline) {
			t.Errorf("the page contains %q, which its policy forbids", inline)
		}
	}
}
