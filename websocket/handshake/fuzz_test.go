package handshake

import (
	"encoding/base64"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The oracle parses a request with regular expressions, while the code under test scans bytes.
const (
	tok = "[!#$%&'*+.^_`|~0-9A-Za-z-]+"
	ows = `[ \t]*`
	val = `(?:` + tok + `|"(?:\\?[!#$%&'*+.^_` + "`" + `|~0-9A-Za-z-])+")`
	ext = `(?:` + tok + `(?:` + ows + `;` + ows + tok + `(?:` + ows + `=` + ows + val + `)?)*` +
		`|permessage-deflate(?:` + ows + `;` + ows + tok + `(?:` + ows + `=` + ows + val + `?)?)*)`
)

var (
	tokenRE   = regexp.MustCompile(`^` + tok + `$`)
	productRE = regexp.MustCompile(`^` + tok + `(?:/` + tok + `)?$`)
	extListRE = regexp.MustCompile(`^[ \t,]*` + ext + `(?:` + ows + `,[ \t,]*` + ext + `)*[ \t,]*$`)
	hostRE    = regexp.MustCompile(`^[A-Za-z0-9._~%-]+(?::(\d*))?$`)
)

// elements splits a list and drops empty elements.
func elements(lines []string) []string {
	list := strings.Split(strings.Join(lines, ","), ",")
	for i := range list {
		list[i] = strings.Trim(list[i], " \t")
	}
	return slices.DeleteFunc(list, func(s string) bool { return s == "" })
}

// listContains reports whether the whole list matches re and contains want, ignoring case.
func listContains(lines []string, re *regexp.Regexp, want string) bool {
	some := false
	for _, e := range elements(lines) {
		if !re.MatchString(e) {
			return false
		}
		some = some || strings.ToLower(e) == want // ToLower suffices, because re only matches ASCII
	}
	return some
}

// oracle reports whether a request is valid according to RFC 6455 §4.2.1.
func oracle(r *http.Request) bool {
	one := func(name string) (string, bool) {
		lines := r.Header[name]
		if len(lines) != 1 {
			return "", false
		}
		return strings.Trim(lines[0], " \t"), true
	}
	key, oneKey := one(fieldKey)
	nonce, err := base64.StdEncoding.DecodeString(key)
	version, oneVersion := one(fieldVersion)
	if r.Method != "GET" || !hostRE.MatchString(r.Host) ||
		!listContains(r.Header["Upgrade"], productRE, "websocket") || !listContains(r.Header["Connection"], productRE, "upgrade") ||
		!oneKey || err != nil || len(nonce) != 16 || strings.ContainsAny(key, "\r\n") || !oneVersion || version != "13" {
		return false
	}
	if lines, ok := r.Header[fieldProtocol]; ok {
		list := elements(lines)
		if len(list) == 0 || slices.ContainsFunc(list, func(s string) bool { return !tokenRE.MatchString(s) }) {
			return false
		}
	}
	if lines, ok := r.Header[fieldExtensions]; ok {
		return extListRE.MatchString(strings.Join(lines, ","))
	}
	return true
}

// FuzzCheck checks that Check agrees with the oracle on every request, and that the client accepts the answer to a valid one.
func FuzzCheck(f *testing.F) {
	const key = "dGhlIHNhbXBsZSBub25jZQ=="
	add := func(upgrade, connection, key, version, protocol, extensions string, missing byte) {
		f.Add("GET", "server.example.com", upgrade, connection, key, version, protocol, extensions, missing)
	}
	add("websocket", "Upgrade", key, "13", "", "", 0b110000)
	add("h2c/1, WebSocket", "keep-alive, Upgrade", key, "13", "chat, superchat", "permessage-deflate; client_max_window_bits", 0)
	add("h2c\nwebsocket", "keep-alive\nUpgrade", key, "13", "chat\nfoo", "a; b=\"c\", permessage-deflate; x=\nfoo", 0)
	add("web\u017focket", "Upgrade", key, "13", "chat", "a", 0)
	add("websocket", "\"a, upgrade\"", key+"\n"+key, "13\n13", "", "a;b=", 0)
	add("websocket", "Upgrade", "AAAAAAAAAAAAAAAAAAAAA", " 13\t", ",chat,", ",a;b=\"\\c\",", 0)
	f.Fuzz(func(t *testing.T, method, host, upgrade, connection, key, version, protocol, extensions string, missing byte) {
		r := &http.Request{Method: method, Host: host, ProtoMajor: 1, ProtoMinor: 1, RequestURI: "/", Header: http.Header{}}
		for i, field := range [...]struct{ name, value string }{
			{"Upgrade", upgrade}, {"Connection", connection}, {fieldKey, key}, {fieldVersion, version},
			{fieldProtocol, protocol}, {fieldExtensions, extensions},
		} {
			if missing&(1<<i) == 0 {
				r.Header[field.name] = strings.Split(field.value, "\n")
			}
		}
		if strings.Count(extensions, ",")+strings.Count(extensions, "\n") >= 32 || strings.Count(extensions, ";") > 16 {
			return // beyond the limits, which the oracle does not implement
		}
		if host != "" && (strings.HasPrefix(host, "[") || len(host[strings.LastIndex(host, ":")+1:]) > 4) {
			return // the oracle implements neither IPv6 addresses nor the maximum port
		}
		v := Check(r)
		if (v == nil) != oracle(r) {
			t.Fatalf("Check returned %+v for %+v", v, r)
		}
		if v != nil {
			if v.Status < 400 || v.Status > 499 || v.Detail == "" || v.Section == "" || v.Stage == "" {
				t.Errorf("an incomplete violation: %+v", v)
			}
			return
		}
		o := OpeningOf(r)
		if v := o.Check(); v != nil {
			t.Fatal(v)
		}
		a, offers := Answer{Key: r.Header[fieldKey][0], Subprotocol: o.Choose([]string{"superchat", "chat"})}, o.Offers()
		if d, ok := NegotiateDeflate(offers, DeflatePolicy{}); ok {
			a.Extensions = d.Extension().String()
		}
		var h Head
		answer, _, v := h.Feed(a.AppendHead(nil))
		if v != nil || answer == nil {
			t.Fatalf("our own answer does not parse: %+v", v)
		}
		request := &Request{Key: strings.Trim(key, " \t"), Subprotocols: elements(r.Header[fieldProtocol]), Extensions: offers}
		if _, _, v := Verify(answer, request); v != nil {
			t.Errorf("the client rejects our own answer: %+v", v)
		}
	})
}
