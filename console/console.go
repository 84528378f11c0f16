// Package console serves the web pages of the server. They consist of embedded static files that load nothing from other servers.
package console

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"net/http"
	"time"

	"github.com/handfast/handfast/client/js"
)

//go:embed page
var page embed.FS

// policy is the content security policy: the page may load scripts, styles and images only from its server, and connect only
// to it.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Register adds the page to mux at "/", and the files that it loads below "/console/". The server must
// handle two requests of the page: GET /console/endpoints, for the endpoints that the page may connect to, and GET
// /console/attempts/{key}, for the outcome of the handshake with this key in the query parameter handfast-attempt.
func Register(mux *http.ServeMux) {
	mux.Handle("GET /{$}", file("index.html", "text/html; charset=utf-8"))
	for _, name := range []string{"console.js", "endpoints.js", "attempt.js", "words.js", "formats.js", "log.js", "chat.js"} {
		mux.Handle("GET /console/"+name, file(name, "text/javascript; charset=utf-8"))
	}
	mux.Handle("GET /console/channels.js", static("channels.js", "text/javascript; charset=utf-8", js.Module))
	mux.Handle("GET /console/console.css", file("console.css", "text/css; charset=utf-8"))
	mux.Handle("GET /console/icon.svg", file("icon.svg", "image/svg+xml"))
}

// RegisterAdmin adds the files that the page of the admin listener loads to mux, below "/console/", and returns the page. The
// files contain no data of the server: the page requests everything that it shows.
func RegisterAdmin(mux *http.ServeMux) http.Handler {
	mux.Handle("GET /console/admin.js", file("admin.js", "text/javascript; charset=utf-8"))
	mux.Handle("GET /console/balance.js", file("balance.js", "text/javascript; charset=utf-8"))
	mux.Handle("GET /console/admin.css", file("admin.css", "text/css; charset=utf-8"))
	return file("admin.html", "text/html; charset=utf-8")
}

// file serves one embedded file.
func file(name, contentType string) http.Handler {
	content, err := page.ReadFile("page/" + name)
	if err != nil {
		panic(err) // the compiler embeds the folder; only the name can be wrong
	}
	return static(name, contentType, content)
}

// static serves content with an ETag and the headers that restrict the page.
func static(name, contentType string, content []byte) http.Handler {
	sum := sha256.Sum256(content)
	tag := `"` + hex.EncodeToString(sum[:8]) + `"`
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Type", contentType)
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-cache") // browsers must revalidate the ETag for each use
		h.Set("ETag", tag)
		http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(content))
	})
}
