package chromium

import (
	"io"
	"net/http"
)

// Page returns the handler of a site with a single page, at /, that loads the script in a file.
func Page(script string) *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, `<!doctype html><title>a page</title><script src="/script.js"></script>`) // fails without a browser
	})
	mux.HandleFunc("GET /script.js", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, script) })
	return mux
}
