// Package cors responds to CORS preflights, in which a browser asks whether a page of another origin may send a request (WHATWG
// Fetch, §3.2.2). The caller decides whether the origin is allowed.
package cors

import "net/http"

// IsPreflight reports whether a request is a preflight.
func IsPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header.Get("Origin") != "" && r.Header.Get("Access-Control-Request-Method") != ""
}

// Preflight responds to a preflight with the allowed methods and headers, which are comma-separated lists. A browser may cache the
// response for ten minutes.
func Preflight(w http.ResponseWriter, methods, headers string) {
	h := w.Header()
	h.Set("Access-Control-Allow-Methods", methods)
	h.Set("Access-Control-Allow-Headers", headers)
	h.Set("Access-Control-Max-Age", "600")
	w.WriteHeader(http.StatusNoContent)
}
