package opening

import (
	"errors"
	"net/http"
	"sync/atomic"

	"github.com/handfast/handfast/websocket/handshake"
	"github.com/handfast/handfast/websocket/internal/header"
)

// Rules are a server's options for opening handshakes. They must not be changed while they are in use.
type Rules struct {
	Origin       handshake.OriginPolicy
	Subprotocols []string    // the subprotocols, in order of preference
	Header       http.Header // additional fields of the 101 response
	Deflate      Deflate
}

// Deflate contains a server's options for compression.
type Deflate struct {
	On                                 bool
	ServerNoTakeover, ClientNoTakeover bool
	ServerWindowBits, ClientWindowBits int
}

// Terms are the result of negotiating an opening handshake.
type Terms struct {
	Subprotocol string // "" means none
	Deflate     handshake.Deflate
	Compressed  bool
	Passed      string // extensions negotiated by a backend server, in place of Deflate; "" means none
}

// Check returns a refusal with status 500 for the first mistake in the rules themselves, which would affect every handshake.
func (r *Rules) Check() *Refusal {
	if err := handshake.CheckFields(r.Header); err != nil {
		return configError(handshake.StageStatus, err, handshake.HintServerHeader)
	}
	if err := handshake.CheckSubprotocols(r.Subprotocols); err != nil {
		return configError(handshake.StageSubprotocol, err, handshake.HintServerSubprotocols)
	}
	if _, err := r.policy(); err != nil {
		return configError(handshake.StageExtension, err, handshake.HintServerCompression)
	}
	return nil
}

func (r *Rules) policy() (handshake.DeflatePolicy, error) {
	d := &r.Deflate
	if !d.On {
		return handshake.DeflatePolicy{}, nil
	}
	return handshake.NewDeflatePolicy(d.ServerNoTakeover, d.ClientNoTakeover, d.ServerWindowBits, d.ClientWindowBits)
}

// Admit performs all checks that can reject a client, for any server that has parsed its request: the protocol, the origin, the
// server's own options, and finally the application's check ask, unless that is nil. It returns the terms of the connection.
func (r *Rules) Admit(o *handshake.Opening, appCheck func() *Refusal) (t Terms, refused *Refusal) {
	v := o.Check()
	if v == nil {
		v = o.CheckOrigin(r.Origin)
	}
	if v != nil {
		return t, Violated(v)
	}
	if refused := r.Check(); refused != nil {
		return t, refused
	}
	if appCheck != nil {
		if refused := appCheck(); refused != nil {
			return t, refused
		}
	}
	t.Subprotocol = o.Choose(r.Subprotocols)
	if r.Deflate.On {
		policy, _ := r.policy() // Check has already excluded an error
		t.Deflate, t.Compressed = handshake.NegotiateDeflate(o.Offers(), policy)
	}
	return t, nil
}

// Agree sets the subprotocol that the application has chosen, or "" for none. It must be one that the client offered (RFC 6455
// §4.2.2).
func (t *Terms) Agree(o *handshake.Opening, subprotocol string) *Refusal {
	if subprotocol != "" && o.Choose([]string{subprotocol}) == "" {
		return configError(handshake.StageSubprotocol, errors.New("the application chose a subprotocol that the client did not offer"),
			"choose one of those in the request's Sec-WebSocket-Protocol header")
	}
	t.Subprotocol = subprotocol
	return nil
}

// Pass sets the extensions that a backend server has negotiated, for the 101 response, or "" for none. The bytes of the
// connection are passed to that server.
func (t *Terms) Pass(extensions string) *Refusal {
	if err := handshake.CheckFields(http.Header{"Extensions": {extensions}}); err != nil { // only the value has to be checked
		return configError(handshake.StageExtension, err, "correct Admission.Extensions")
	}
	t.Compressed, t.Passed = false, extensions
	return nil
}

// Extensions returns the value of the response's Sec-WebSocket-Extensions header, or "" for none.
func (t *Terms) Extensions() string {
	if !t.Compressed {
		return t.Passed
	}
	d := t.Deflate
	i := int(d.ServerBits&15)<<4 | int(d.ClientBits&15)
	if d.ServerNoTakeover {
		i |= 1 << 8
	}
	if d.ClientNoTakeover {
		i |= 1 << 9
	}
	if v := deflateValues[i].Load(); v != nil {
		return *v
	}
	v := handshake.FormatExtensions([]handshake.Extension{d.Extension()})
	deflateValues[i].Store(&v)
	return v
}

// deflateValues caches the results of Extensions. Their number is limited, whatever clients offer.
var deflateValues [2 * 2 * 16 * 16]atomic.Pointer[string]

// AppendAnswer appends the header of the 101 response to o. The fields of both headers must have been checked with
// [handshake.CheckFields]. Either header may be nil.
func (t *Terms) AppendAnswer(dst []byte, o *handshake.Opening, a, b http.Header) []byte {
	if header.HasToken(o.Expect, "100-continue") {
		// RFC 9110 §7.8: for a request with "100-continue", the only expectation that Admit accepts, "the server MUST send a 100
		// (Continue) response before sending a 101 (Switching Protocols) response".
		dst = append(dst, "HTTP/1.1 100 Continue\r\n\r\n"...)
	}
	answer := handshake.Answer{Key: o.Key[0], Subprotocol: t.Subprotocol, Extensions: t.Extensions(), Header: [2]http.Header{a, b}}
	return answer.AppendHead(dst)
}
