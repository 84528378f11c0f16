package faults

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"fmt"
	"io"
	"log"
	"net/http"
	"strings"

	"github.com/andybalholm/brotli"

	"github.com/handfast/handfast/explain"
	"github.com/handfast/handfast/websocket"
)

// discard is for the logs of servers, because mistakes of their clients are expected here.
var discard = log.New(io.Discard, "", 0)

// answers is a server that sends the same response to every request. The lines of fields end in "\n".
func answers(status, fields, body string) func(*lab) (*Site, error) {
	return func(l *lab) (*Site, error) {
		return l.site(func(v *exchange) { v.answer(status, fields, body) })
	}
}

// page is a typical body of a web server.
const page = "<!doctype html>\n<title>Welcome</title>\n<p>This is a page.\n"

// redirects redirects clients to another path, like a server that requires a trailing slash.
func redirects(status int) func(*lab) (*Site, error) {
	return answers(fmt.Sprintf("%d %s", status, http.StatusText(status)), "Location: https://www.example.com/chat/\n", "")
}

// foreignOrigin is the origin of a page that the server does not know.
const foreignOrigin = "https://app.example"

// originRefused admits clients without an origin or with its own, and responds with 403 to all others.
func originRefused(l *lab) (*Site, error) {
	addr, err := l.handler(l.echo(nil), nil)
	return &Site{URL: "ws://" + addr + "/", Options: explain.Options{Origin: foreignOrigin}}, err
}

// nginxError is an error page of nginx itself.
func nginxError(status string) string {
	return "<html>\r\n<head><title>" + status + "</title></head>\r\n<body>\r\n<center><h1>" + status +
		"</h1></center>\r\n<hr><center>nginx/1.22.1</center>\r\n</body>\r\n</html>\r\n"
}

// fromNginx is a server whose nginx responds itself.
func fromNginx(status string) func(*lab) (*Site, error) {
	return answers(status, "Server: nginx/1.22.1\nContent-Type: text/html\n", nginxError(status))
}

// ownBackend is a backend that uses this project's library.
func ownBackend(l *lab) http.Handler { return l.echo(healthyOptions()) }

// olderBackend responds like a widely used Go library: 400, and the supported version.
func olderBackend(*lab) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
			w.Header().Set("Sec-Websocket-Version", "13")
			http.Error(w, "Bad Request", http.StatusBadRequest)
		}
	})
}

// nodeBackend responds like a widely used server for Node: 400 and a code in JSON.
func nodeBackend(*lab) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		io.WriteString(w, `{"code":3,"message":"Bad request"}`) //nolint:errcheck // the write fails only if the proxy has disconnected
	})
}

// emptyBadRequest is a backend that responds with 400 without a reason.
func emptyBadRequest(*lab) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadRequest) })
}

// rejecting is a server that recognizes the WebSocket request and rejects it with a status.
func rejecting(reject *websocket.Reject) func(*lab) (*Site, error) {
	return func(l *lab) (*Site, error) {
		addr, err := l.handler(l.echo(&websocket.AcceptOptions{
			AnyOrigin: true, Check: func(*http.Request) error { return reject },
		}), nil)
		return &Site{URL: "ws://" + addr + "/"}, err
	}
}

// originRefusedWith is originRefused for servers that respond with a status other than 403.
func originRefusedWith(status int) func(*lab) (*Site, error) {
	return func(l *lab) (*Site, error) {
		echo := l.echo(nil)
		addr, err := l.handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Origin") == foreignOrigin {
				w.WriteHeader(status)
				return
			}
			echo.ServeHTTP(w, r)
		}), nil)
		return &Site{URL: "ws://" + addr + "/", Options: explain.Options{Origin: foreignOrigin}}, err
	}
}

// withOrigin makes the client send another origin.
func withOrigin(start func(*lab) (*Site, error), origin string) func(*lab) (*Site, error) {
	return func(l *lab) (*Site, error) {
		s, err := start(l)
		if err == nil {
			s.Options.Origin = origin
		}
		return s, err
	}
}

// acceptWithout101 computes the accept value but leaves the status at 200.
func acceptWithout101(l *lab) (*Site, error) {
	return l.site(func(v *exchange) {
		v.answer("200 OK", "Upgrade: websocket\nSec-WebSocket-Accept: "+v.accept()+"\n", "")
	})
}

// envoy responds to an upgrade like Envoy if its configuration does not allow it, and to an ordinary request with the given status.
func envoy(ordinary string) func(*lab) (*Site, error) {
	return func(l *lab) (*Site, error) {
		return l.site(func(v *exchange) {
			if v.req.Header.Get("Upgrade") == "" {
				v.answer(ordinary, "Server: envoy\n", "")
				return
			}
			v.answer("403 Forbidden", "Server: envoy\n", "")
		})
	}
}

// cloudflare is a response of Cloudflare itself.
func cloudflare(status string) func(*lab) (*Site, error) {
	return answers(status+" ", "Server: cloudflare\nCF-RAY: 8f0000000000abcd-FRA\n", "error code: "+status+"\n")
}

// nodeOnOtherPath responds like Node's ws to an upgrade on a path other than its own.
func nodeOnOtherPath(*lab) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" {
			http.Error(w, "Upgrade Required", http.StatusUpgradeRequired)
			return
		}
		http.Error(w, "Bad Request", http.StatusBadRequest)
	})
}

// withoutProxy is a backend without a proxy in front.
func withoutProxy(backend func(*lab) http.Handler) func(*lab) (*Site, error) {
	return func(l *lab) (*Site, error) {
		addr, err := l.handler(backend(l), nil)
		return &Site{URL: "ws://" + addr + "/"}, err
	}
}

// versionOnly responds without a body that the request lacks the version.
func versionOnly(*lab) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Sec-WebSocket-Version", "13")
		w.WriteHeader(http.StatusUpgradeRequired)
	})
}

// keyOnly responds that the request lacks the key.
func keyOnly(*lab) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "Missing or invalid Sec-WebSocket-Key header", http.StatusBadRequest)
	})
}

// encoded is a 400 whose body is encoded.
func encoded(coding, charset string) func(*lab) (*Site, error) {
	const reason = "room is missing"
	var b bytes.Buffer
	var w io.WriteCloser
	switch coding {
	case "gzip":
		w = gzip.NewWriter(&b)
	case "deflate":
		w = zlib.NewWriter(&b)
	case "raw deflate": // raw DEFLATE, which some servers send as deflate, according to RFC 9110 §8.4.1.2
		coding = "deflate"
		w, _ = flate.NewWriter(&b, flate.BestSpeed) //nolint:errcheck // NewWriter fails only for an invalid level, and BestSpeed is valid
	case "br":
		w = brotli.NewWriter(&b)
	case "zstd": // only the magic number, since package explain does not decode zstd
		b.WriteString("\x28\xb5\x2f\xfd")
	default: // UTF-16 with a byte order mark
		b.WriteString("\xff\xfe")
		for _, c := range reason {
			b.Write([]byte{byte(c), 0})
		}
	}
	if w != nil {
		io.WriteString(w, reason) //nolint:errcheck // writing to memory does not fail
		w.Close()
	}
	fields := "Content-Type: text/plain" + charset + "\n"
	if coding != "" {
		fields += "Content-Encoding: " + coding + "\n"
	}
	return answers("400 Bad Request", fields, b.String())
}

const jsonType = "Content-Type: application/json\n"

// oldClient makes the client send the origin of an http page even for wss, like old versions of some clients, to a server that allows only
// its own origin.
func oldClient(l *lab) (*Site, error) {
	s, err := healthySecure(l)
	if err == nil {
		s.Options.Origin = strings.TrimSuffix(strings.Replace(s.URL, "wss://", "http://", 1), "/")
	}
	return s, err
}

// readAnswer reads the response to req from r.
func readAnswer(r io.Reader, req *http.Request) (*http.Response, error) {
	return http.ReadResponse(bufio.NewReader(r), req)
}

// forbidden rejects every client, whatever the origin.
var forbidden = rejecting(&websocket.Reject{Status: http.StatusForbidden})

// withoutOriginProbes disables the client's attempts with other origins.
func withoutOriginProbes(start func(*lab) (*Site, error)) func(*lab) (*Site, error) {
	return func(l *lab) (*Site, error) {
		s, err := start(l)
		if err == nil {
			s.Options.NoOriginProbes = true
		}
		return s, err
	}
}

// challenge is a 401 whose WWW-Authenticate header has this value.
func challenge(value string) func(*lab) (*Site, error) {
	return answers("401 Unauthorized", "WWW-Authenticate: "+value+"\n", "")
}

var statusFaults = []Fault{
	{ID: explain.FaultStatus200, Name: "the base path of SockJS", start: answers("200 OK", "Content-Type: text/plain\n", "Welcome to SockJS!\n")},
	{ID: explain.FaultStatus400, Name: "Socket.IO without a transport", start: answers("400 Bad Request", "Content-Type: text/html\n", "Transport unknown")},
	{ID: explain.FaultStatus400, Name: "Socket.IO without a transport, in JSON", start: answers("400 Bad Request", jsonType,
		`{"code":0,"message":"Transport unknown"}`)},
	{ID: explain.FaultStatus400, Name: "Socket.IO of another version", start: answers("400 Bad Request", jsonType,
		`{"code":5,"message":"Unsupported protocol version"}`)},
	{ID: explain.FaultStatus400, Name: "Socket.IO with an unknown session", start: answers("400 Bad Request", jsonType,
		`{"code":1,"message":"Session ID unknown"}`)},
	{ID: explain.FaultStatus400, Name: "SignalR without negotiation", start: answers("400 Bad Request", "Server: Kestrel\n", "Connection ID required")},
	{ID: explain.FaultStatus404, Name: "SignalR with an unknown connection", start: answers("404 Not Found", "Server: Kestrel\n", "No Connection with that ID")},
	{ID: explain.FaultStatus404, Name: "uvicorn without a WebSocket library", start: answers("404 Not Found", "Server: uvicorn\n"+jsonType,
		`{"detail":"Not Found"}`)},
	{ID: explain.FaultStatus404, Name: "Django's development server", start: answers("404 Not Found", "Server: WSGIServer/0.2 CPython/3.13.1\nContent-Type: text/html\n",
		"<title>Page not found at /ws/</title><h1>Page not found <small>(404)</small></h1>")},
	{ID: explain.FaultStatus404, Name: "Phoenix, one level too high", start: answers("404 Not Found", "Server: Cowboy\nContent-Type: text/html\n",
		"<h1>Phoenix.Router.NoRouteError</h1><p>no route found for GET /socket (ChatWeb.Router)</p>")},
	{ID: explain.FaultStatus404, Name: "the API of Docker", start: answers("404 Not Found", "Server: Docker/27.3.1 (linux)\nApi-Version: 1.47\n"+jsonType,
		`{"message":"page not found"}`)},
	{ID: explain.FaultStatus403, Name: "Kubernetes, without the right", start: answers("403 Forbidden", jsonType,
		`{"kind":"Status","apiVersion":"v1","status":"Failure","message":"pods \"web\" is forbidden: User \"system:anonymous\" cannot get resource","reason":"Forbidden","code":403}`)},
	{ID: explain.FaultUpgradeStripped, Name: "Kubernetes, without the upgrade", start: answers("400 Bad Request", jsonType,
		`{"kind":"Status","apiVersion":"v1","status":"Failure","message":"Upgrade request required","reason":"BadRequest","code":400}`)},
	{ID: explain.FaultUpgradeStripped, Name: "axum, without the upgrade", start: answers("400 Bad Request", "Content-Type: text/plain\n",
		"Connection header did not include 'upgrade'")},
	{ID: explain.FaultUpgradeStripped, Name: "tungstenite, without the upgrade", start: answers("400 Bad Request", "Content-Type: text/plain\n",
		"WebSocket protocol error: No \"Connection: upgrade\" header")},
	{ID: explain.FaultHeaderLost, Name: "axum, without the version", start: answers("400 Bad Request", "Content-Type: text/plain\n",
		"`Sec-WebSocket-Version` header did not include '13'")},
	{ID: explain.FaultOrigin, Name: "an old client with an http origin over wss", start: oldClient},
	{ID: explain.FaultStatus200, Name: "a page instead of a WebSocket",
		start: answers("200 OK", "Content-Type: text/html\n", page)},
	{ID: explain.FaultStatus200, Name: "204", start: answers("204 No Content", "", "")},
	{ID: explain.FaultStatus200, Name: "200 with the right accept value", start: acceptWithout101},
	{ID: explain.FaultStatus301, Name: "301", start: redirects(http.StatusMovedPermanently)},
	{ID: explain.FaultStatus302, Name: "302", start: redirects(http.StatusFound)},
	{ID: explain.FaultStatus302, Name: "303", start: redirects(http.StatusSeeOther)},
	{ID: explain.FaultStatus307, Name: "307", start: redirects(http.StatusTemporaryRedirect)},
	{ID: explain.FaultStatus308, Name: "308", start: redirects(http.StatusPermanentRedirect)},
	{ID: explain.FaultStatus400, Name: "400", start: answers("400 Bad Request", "Content-Type: text/plain\n", "room is missing\n")},
	{ID: explain.FaultStatus400, Name: "Node's ws behind nginx, on another path", start: proxyWithout(nodeOnOtherPath)},
	{ID: explain.FaultStatus400, Name: "Node's ws, on another path", start: withoutProxy(nodeOnOtherPath)},
	{ID: explain.FaultStatus400, Name: "400 without a reason, for every request", start: withoutProxy(emptyBadRequest)},
	{ID: explain.FaultStatus400, Name: "nginx that speaks plain HTTP to a port for TLS", start: answers("400 Bad Request", "Server: nginx/1.22.1\n",
		"Client sent an HTTP request to an HTTPS server.\n")},
	{ID: explain.FaultStatus400, Name: "400 with a body in gzip", start: encoded("gzip", "")},
	{ID: explain.FaultStatus400, Name: "400 with a body in deflate", start: encoded("deflate", "")},
	{ID: explain.FaultStatus400, Name: "400 with a body in raw deflate", start: encoded("raw deflate", "")},
	{ID: explain.FaultStatus400, Name: "400 with a body in br", start: encoded("br", "")},
	{ID: explain.FaultStatus400, Name: "400 with a body in zstd", start: encoded("zstd", "")},
	{ID: explain.FaultStatus400, Name: "400 with a body in UTF-16", start: encoded("", "; charset=utf-16")},
	{ID: explain.FaultStatus401, Name: "401 that requires a token", start: challenge(`Bearer realm="chat"`)},
	{ID: explain.FaultStatus401, Name: "401 for an expired token", start: challenge(
		`Bearer realm="chat", error="invalid_token", error_description="The token expired"`)},
	{ID: explain.FaultStatus401, Name: "401 that requires a password", start: challenge(`Basic realm="chat, staff"`)},
	{ID: explain.FaultStatus401, Name: "401 that requires Kerberos", start: challenge("Negotiate, NTLM")},
	{ID: explain.FaultStatus401, Name: "401 without a challenge", start: answers("401 Unauthorized", "", "")},
	{ID: explain.FaultOrigin, Name: "403 for the origin", start: originRefused},
	{ID: explain.FaultOrigin, Name: "401 for the origin", start: originRefusedWith(http.StatusUnauthorized)},
	{ID: explain.FaultOrigin, Name: "404 for the origin", start: originRefusedWith(http.StatusNotFound)},
	{ID: explain.FaultOrigin, Name: "400 for the origin", start: originRefusedWith(http.StatusBadRequest)},
	{ID: explain.FaultOrigin, Name: "an origin without a scheme", start: withOrigin(originRefused, "app.example")},
	{ID: explain.FaultOrigin, Name: "403, and the body says that it is the origin", start: answers("403 Forbidden", "",
		"Failed to open a WebSocket connection: invalid Origin header: http://localhost.\n")},
	{ID: explain.FaultOrigin, Name: "403, and the body names the host", start: answers("403 Forbidden", "",
		"request Origin \"app.example\" is not authorized for Host \"chat.example\"\n")},
	{ID: explain.FaultStatus403, Name: "403 for all clients", start: forbidden},
	{ID: explain.FaultStatus403, Name: "Envoy that does not allow upgrades", start: envoy("200 OK")},
	{ID: explain.FaultStatus403, Name: "Envoy that refuses the client", start: envoy("403 Forbidden")},
	{ID: explain.FaultStatus403, Name: "403, and no other origin is tried", start: withoutOriginProbes(originRefusedWith(http.StatusForbidden))},
	{ID: explain.FaultOrigin, Name: "403 whose body says that it is the origin, and no other one is tried", start: withoutOriginProbes(originRefused)},
	{ID: explain.FaultStatus404, Name: "404", start: answers("404 Not Found", "", "404 page not found\n")},
	{ID: explain.FaultStatus404, Name: "404 of nginx itself", start: fromNginx("404 Not Found")},
	{ID: explain.FaultStatus404, Name: "410", start: answers("410 Gone", "", "")},
	{ID: explain.FaultStatus405, Name: "405", start: answers("405 Method Not Allowed", "Allow: POST\n", "")},
	{ID: explain.FaultStatus407, Name: "407 of the server itself", start: answers("407 Proxy Authentication Required",
		"Proxy-Authenticate: Basic realm=\"office\"\n", "")},
	{ID: explain.FaultStatus426, Name: "426 for another protocol",
		start: answers("426 Upgrade Required", "Upgrade: TLS/1.2, HTTP/1.1\n", "")},
	{ID: explain.FaultVersion, Name: "426 with old versions",
		start: answers("426 Upgrade Required", "Upgrade: websocket\nSec-WebSocket-Version: 8, 7\n", "")},
	{ID: explain.FaultVersion, Name: "400 with old versions",
		start: answers("400 Bad Request", "Sec-WebSocket-Version: 8\n", "")},
	{ID: explain.FaultStatus429, Name: "429 in seconds", start: answers("429 Too Many Requests", "Retry-After: 30\n", "")},
	{ID: explain.FaultStatus429, Name: "429 with a date", start: answers("429 Too Many Requests",
		"Retry-After: Wed, 21 Oct 2065 07:28:00 GMT\n", "")},
	{ID: explain.FaultStatus500, Name: "500", start: answers("500 Internal Server Error", "", "")},
	{ID: explain.FaultStatus500, Name: "501", start: answers("501 Not Implemented", "", "")},
	{ID: explain.FaultStatus500, Name: "505", start: answers("505 HTTP Version Not Supported", "", "")},
	{ID: explain.FaultStatus500, Name: "507", start: answers("507 Insufficient Storage", "", "")},
	{ID: explain.FaultStatus500, Name: "511", start: answers("511 Network Authentication Required", "", "")},
	{ID: explain.FaultStatus500, Name: "520 of Cloudflare", start: cloudflare("520")},
	{ID: explain.FaultStatus500, Name: "521 of Cloudflare", start: cloudflare("521")},
	{ID: explain.FaultStatus500, Name: "521 of something else", start: answers("521 ", "", "")},
	{ID: explain.FaultStatus500, Name: "522 of Cloudflare", start: cloudflare("522")},
	{ID: explain.FaultStatus500, Name: "523 of Cloudflare", start: cloudflare("523")},
	{ID: explain.FaultStatus500, Name: "524 of Cloudflare", start: cloudflare("524")},
	{ID: explain.FaultStatus500, Name: "525 of Cloudflare", start: cloudflare("525")},
	{ID: explain.FaultStatus500, Name: "526 of Cloudflare", start: cloudflare("526")},
	{ID: explain.FaultStatus500, Name: "530 of Cloudflare", start: cloudflare("530")},
	{ID: explain.FaultStatus500, Name: "561 of AWS", start: answers("561 ", "Server: awselb/2.0\n", "")},
	{ID: explain.FaultStatus502, Name: "502 of nginx", start: fromNginx("502 Bad Gateway")},
	{ID: explain.FaultStatus503, Name: "503", start: answers("503 Service Unavailable", "Retry-After: 5\n",
		"<html><body><h1>503 Service Unavailable</h1>\nNo server is available to handle this request.\n</body></html>\n\n")},
	{ID: explain.FaultStatus504, Name: "504 of nginx", start: fromNginx("504 Gateway Time-out")},
	{ID: explain.FaultStatusOther, Name: "408", start: answers("408 Request Timeout", "", "")},
	{ID: explain.FaultStatusOther, Name: "413", start: answers("413 Content Too Large", "", "")},
	{ID: explain.FaultStatusOther, Name: "414 of nginx", start: fromNginx("414 Request-URI Too Large")},
	{ID: explain.FaultStatusOther, Name: "418", start: answers("418 I'm a teapot", "", "")},
	{ID: explain.FaultStatusOther, Name: "421", start: answers("421 Misdirected Request", "", "")},
	{ID: explain.FaultStatusOther, Name: "431", start: answers("431 Request Header Fields Too Large", "", "")},
	{ID: explain.FaultStatusOther, Name: "451", start: answers("451 Unavailable For Legal Reasons", "", "")},
	{ID: explain.FaultStatusOther, Name: "460 of AWS", start: answers("460 ", "Server: awselb/2.0\n", "")},
	{ID: explain.FaultStatusOther, Name: "463 of something else", start: answers("463 ", "", "")},
	{ID: explain.FaultStatusOther, Name: "464 of AWS", start: answers("464 ", "Server: awselb/2.0\n", "")},
	{ID: explain.FaultUpgradeStripped, Name: "nginx with its defaults, in front of this library", start: nginx(ownBackend)},
	{ID: explain.FaultUpgradeStripped, Name: "nginx with its defaults, in front of a Go server", start: nginx(olderBackend)},
	{ID: explain.FaultUpgradeStripped, Name: "nginx with its defaults, in front of a Node server", start: nginx(nodeBackend)},
	{ID: explain.FaultUpgradeStripped, Name: "nginx with its defaults, in front of a server that gives no reason", start: nginx(emptyBadRequest)},
	{ID: explain.FaultUpgradeStripped, Name: "an unknown proxy, 426", start: answers("426 Upgrade Required",
		"Upgrade: websocket\nConnection: Upgrade\nContent-Type: text/plain\n", "Upgrade Required")},
	{ID: explain.FaultUpgradeStripped, Name: "an unknown proxy, 400", start: answers("400 Bad Request",
		"Content-Type: text/plain\n", `Can "Upgrade" only to "WebSocket".`)},
	{ID: explain.FaultHeaderLost, Name: "a proxy that removes the version", start: proxyWithout(ownBackend, "Sec-WebSocket-Version")},
	{ID: explain.FaultHeaderLost, Name: "a proxy that removes the version, in front of a server that gives no reason",
		start: proxyWithout(versionOnly, "Sec-WebSocket-Version")},
	{ID: explain.FaultHeaderLost, Name: "a proxy that removes the key", start: proxyWithout(keyOnly, "Sec-WebSocket-Key")},
}
