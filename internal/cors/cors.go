// Package cors answers a browser that asks what a page of another origin may send, before the page sends it: a CORS preflight
// (WHATWG Fetch, §3.2.2). Whether the origin may send anything is for the caller to decide.
package cors

import "net/http"

// IsPreflight reports whether a request is a preflight.
func IsPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header.Get("Origin") != "" && r.Header.Get("Access-Control-Request-Method") != ""
}

// Preflight answers one: methods and headers are lists, separated by commas, of what may be sent. A browser may keep the answer for
// ten minutes.
func Preflight(w http.ResponseWriter, methods, headers string) {
	h := w.Header()
	h.Set("Access-Control-Allow-Methods", methods)
	h.Set("Access-Control-Allow-Headers", headers)
	h.Set("Access-Control-Max-Age", "600")
	w.WriteHeader(http.StatusNoContent)
}
