package opening

import (
	"bufio"
	"net/http"
	"strings"

	"github.com/handfast/handfast/websocket/handshake"
)

// Opening returns what the rules of the handshake look at. text is the head as Parse saw it, or more. The strings in the
// Opening are pieces of it; the Opening itself is h's, and is valid until the next Reset. Its TLS and RemoteAddr are the
// caller's to set.
//
// After Other it holds what was parsed so far: enough for Check to say why this is no handshake.
func (h *Head) Opening(text string) *handshake.Opening {
	o := &h.opening
	o.Reset()
	o.Method, o.Target = h.method.of(text), h.target.of(text)
	o.Major, o.Minor = int(h.major), int(h.minor)
	o.Content = h.content

	h.values = h.values[:0]
	var hosts []string
	for k, list := range [kindCount]*[]string{
		kindHost:             &hosts,
		kindUpgrade:          &o.Upgrade,
		kindConnection:       &o.Connection,
		kindExpect:           &o.Expect,
		kindKey:              &o.Key,
		kindVersion:          &o.Version,
		kindProtocol:         &o.Protocol,
		kindExtensions:       &o.Extensions,
		kindOrigin:           &o.Origin,
		kindForwarded:        &o.Forwarded,
		kindForwardedFor:     &o.ForwardedFor,
		kindForwardedProto:   &o.ForwardedProto,
		kindForwardedHost:    &o.ForwardedHost,
		kindTransferEncoding: &o.TransferEncoding,
	} {
		if h.kinds&(1<<k) != 0 {
			*list = h.linesOf(kind(k), text)
		}
	}
	if o.HostLines = len(hosts); o.HostLines > 0 {
		o.Host = hosts[0]
	}
	return o
}

// linesOf returns the values of the fields of one kind.
func (h *Head) linesOf(k kind, text string) []string {
	first := len(h.values)
	for _, f := range h.fields {
		if f.kind == k {
			h.values = append(h.values, f.value.of(text))
		}
	}
	n := len(h.values)
	return h.values[first:n:n]
}

// Request returns the head as net/http's request, for a hook that wants one. Its RemoteAddr and TLS are the caller's to
// set. text is a whole head that Parse has called an Upgrade; the Request may keep it.
func Request(text string) (*http.Request, error) {
	return http.ReadRequest(bufio.NewReaderSize(strings.NewReader(text), min(len(text), 4<<10)))
}
