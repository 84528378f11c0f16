package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"testing/fstest"

	"github.com/handfast/handfast/internal/bounded"
)

func TestMain(m *testing.M) { os.Exit(bounded.Main(m)) }

// The modules of lib0 are served without their file extension, and missing files are not found.
func TestScripts(t *testing.T) {
	h := scripts(fstest.MapFS{"lib0/map.js": {Data: []byte("export {}")}, "yjs/dist/yjs.mjs": {Data: []byte("export {}")}})
	for path, want := range map[string]int{"/lib0/map": 200, "/lib0/map.js": 200, "/yjs/dist/yjs.mjs": 200, "/lib0/none": 404} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if w.Code != want {
			t.Errorf("%s: %d, want %d", path, w.Code, want)
		}
		if got := w.Header().Get("Content-Type"); want == 200 && got != "text/javascript; charset=utf-8" {
			t.Errorf("%s: %q", path, got)
		}
	}
}

func TestAllow(t *testing.T) {
	for channel, want := range map[string]bool{"doc-notes": true, "state-notes": true, "doc-": false, "other": false, "doc-a/b": false} {
		if got := allow("subscribe", channel) == nil; got != want {
			t.Errorf("%s: %v", channel, got)
		}
	}
}
