// Package cors answers CORS preflights, with which a browser asks what a page of another origin may send (WHATWG Fetch, §3.2.2).
// The caller decides whether the origin may send anything.
package cors

import "net/http"

// IsPreflight reports whether a request is a preflight.
func IsPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header.Get("Origin") != "" && r.Header.Get("Access-Control-Request-Method") != ""
}

// Preflight answers a preflight: methods and headers are comma-separated lists of what may be sent. A browser may cache the answer
// for ten minutes.
func Preflight(w http.ResponseWriter, methods, headers string) {
	h := w.Header()
	h.Set("Access-Control-Allow-Methods", methods)
	h.Set("Access-Control-Allow-Headers", headers)
	h.Set("Access-Control-Max-Age", "600")
	w.WriteHeader(http.StatusNoContent)
}
