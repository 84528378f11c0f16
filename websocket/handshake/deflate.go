package handshake

import (
	"errors"
	"fmt"
	"strconv"
)

// DeflateName is the extension's name in the registry (RFC 7692 §5).
const DeflateName = "permessage-deflate"

// The parameters of permessage-deflate (RFC 7692 §7.1).
const (
	paramServerNoTakeover = "server_no_context_takeover"
	paramClientNoTakeover = "client_no_context_takeover"
	paramServerBits       = "server_max_window_bits"
	paramClientBits       = "client_max_window_bits"
)

// The window sizes of RFC 7692, as powers of two.
const (
	MinWindowBits = 8
	MaxWindowBits = 15

	takeoverBits = 12 // the default of MaxClientBits with takeover: see DeflatePolicy

	// AnyWindowBits represents an offer of client_max_window_bits without a value, which lets the server choose the value.
	AnyWindowBits = 255
)

// Deflate is a set of parameters of permessage-deflate: an offer, or the negotiated parameters.
type Deflate struct {
	ServerNoTakeover bool  // the server's compressor keeps no context between messages
	ClientNoTakeover bool  // the client's compressor keeps no context between messages
	ServerBits       uint8 // window of the server's compressor, 8 to 15; 0 means that the parameter is absent, which implies 15
	ClientBits       uint8 // window of the client's compressor, as for the server; AnyWindowBits only in an offer
}

// DeflatePolicy describes the abilities of a codec and the preferences of its user.
type DeflatePolicy struct {
	ServerNoTakeover bool // the server's compressor uses no context: a client requests this, a server does so without a request
	ClientNoTakeover bool // like ServerNoTakeover, for the client's compressor

	// MaxServerBits and MaxClientBits are the largest windows allowed, 9 to 15. 0 means 15, except that a zero MaxClientBits of a
	// server means 12 if the client uses context takeover, because the server has to retain that much memory for each connection
	// (docs/decisions/0003-takeover-windows.md).
	MaxServerBits, MaxClientBits uint8

	// MinBits is the smallest window that the local compressor supports. 0 means 9: zlib and similar compressors do not support 8
	// without zlib's own header, and silently use 9 instead.
	MinBits uint8
}

// NewDeflatePolicy returns the policy for this library's codec, which supports every window size. The bits are 9 to 15, or 0 for
// the default. 8 is excluded because most peers would use 9 instead.
func NewDeflatePolicy(serverNoTakeover, clientNoTakeover bool, serverBits, clientBits int) (DeflatePolicy, error) {
	for _, bits := range [...]int{serverBits, clientBits} {
		if bits != 0 && (bits < MinWindowBits+1 || bits > MaxWindowBits) {
			return DeflatePolicy{}, fmt.Errorf("a compression window of %d bits: it must be 9 to 15, or 0 for the default", bits)
		}
	}
	return DeflatePolicy{
		ServerNoTakeover: serverNoTakeover,
		ClientNoTakeover: clientNoTakeover,
		MaxServerBits:    uint8(serverBits),
		MaxClientBits:    uint8(clientBits),
		MinBits:          MinWindowBits,
	}, nil
}

func (p DeflatePolicy) minBits() uint8 {
	if p.MinBits == 0 {
		return MinWindowBits + 1
	}
	return p.MinBits
}

// WindowBits returns b as a window size: a missing parameter means the largest window.
func WindowBits(b uint8) uint8 {
	if b == 0 || b > MaxWindowBits {
		return MaxWindowBits
	}
	return b
}

// NegotiateDeflate accepts the first of a client's offers that RFC 7692 §7 permits a server to accept, and that the policy allows. If no
// offer is acceptable, ok is false: the extension is declined, and the connection opens without it.
func NegotiateDeflate(offers []Extension, p DeflatePolicy) (agreed Deflate, ok bool) {
	for _, e := range offers {
		if e.Name != DeflateName {
			continue
		}
		offer, err := parseDeflate(e, true)
		if err != nil { // RFC 7692 §7: "A server MUST decline an extension negotiation offer for this extension if ..."
			continue
		}
		if agreed, ok = acceptOffer(offer, p); ok {
			return agreed, true
		}
	}
	return Deflate{}, false
}

func acceptOffer(offer Deflate, p DeflatePolicy) (Deflate, bool) {
	a := Deflate{
		// RFC 7692 §7.1.1.1: a server that accepts an offer with server_no_context_takeover includes the parameter in the response.
		ServerNoTakeover: offer.ServerNoTakeover || p.ServerNoTakeover,
		// RFC 7692 §7.1.1.2: the parameter may be in the response even if it was not offered. A client that offers it does not use
		// takeover anyway, but some clients require it in the response.
		ClientNoTakeover: offer.ClientNoTakeover || p.ClientNoTakeover,
	}
	// RFC 7692 §7.1.2.1: the response to server_max_window_bits contains "the same or smaller value".
	if want := WindowBits(p.MaxServerBits); offer.ServerBits != 0 || want < MaxWindowBits {
		a.ServerBits = min(WindowBits(offer.ServerBits), want)
		if a.ServerBits < p.minBits() {
			return Deflate{}, false
		}
	}
	// RFC 7692 §7.1.2.2: client_max_window_bits may only be in the response if it was offered, with a value not above the offered one. A
	// client that offers a value respects this value even if the response omits the parameter. With takeover the response contains the
	// parameter nevertheless, because both sides keep that much context. The value is never 8, because Firefox hangs on 8.
	want := max(WindowBits(p.MaxClientBits), MinWindowBits+1)
	if p.MaxClientBits == 0 && !a.ClientNoTakeover {
		want = takeoverBits
	}
	if offered := WindowBits(offer.ClientBits); offer.ClientBits != 0 && (want < offered || !a.ClientNoTakeover) {
		if bits := min(want, offered); bits > MinWindowBits && bits < MaxWindowBits {
			a.ClientBits = bits
		}
	}
	return a, true
}

// OfferDeflate returns the offer of a client.
func OfferDeflate(p DeflatePolicy) Deflate {
	offer := Deflate{
		ServerNoTakeover: p.ServerNoTakeover,
		ClientNoTakeover: p.ClientNoTakeover,
		ClientBits:       AnyWindowBits,
	}
	if b := max(WindowBits(p.MaxServerBits), MinWindowBits+1); b < MaxWindowBits {
		offer.ServerBits = b
	}
	if b := max(WindowBits(p.MaxClientBits), p.minBits()); b < MaxWindowBits {
		offer.ClientBits = b
	}
	return offer
}

// VerifyDeflate returns the parameters negotiated by a server's response to offered. minBits is the smallest window that the
// client's compressor supports. If there is an error, the client must fail the connection (RFC 7692 §7).
func VerifyDeflate(answer Extension, offered Deflate, minBits uint8) (Deflate, error) {
	a, err := parseDeflate(answer, false)
	switch {
	case err != nil:
		return Deflate{}, err
	case offered.ServerNoTakeover && !a.ServerNoTakeover: // RFC 7692 §7.1.1.1
		return Deflate{}, errors.New(paramServerNoTakeover + " was requested but is not in the response")
	case offered.ServerBits != 0 && (a.ServerBits == 0 || a.ServerBits > offered.ServerBits): // RFC 7692 §7.1.2.1
		return Deflate{}, fmt.Errorf("%s=%d was requested, but the response has a larger value", paramServerBits, offered.ServerBits)
	case offered.ClientBits == 0 && a.ClientBits != 0: // RFC 7692 §7.1.2.2
		return Deflate{}, errors.New(paramClientBits + " is in the response but was not offered")
	case offered.ClientBits <= MaxWindowBits && a.ClientBits > offered.ClientBits: // RFC 7692 §7.1.2.2
		return Deflate{}, fmt.Errorf("%s=%d was offered, but the response has a larger value", paramClientBits, offered.ClientBits)
	case a.ClientBits != 0 && a.ClientBits < minBits:
		return Deflate{}, fmt.Errorf("%s=%d is less than this compressor supports", paramClientBits, a.ClientBits)
	}
	// A client that has announced not to use takeover, or to use a smaller window, does so whatever the response is.
	a.ClientNoTakeover = a.ClientNoTakeover || offered.ClientNoTakeover
	if a.ClientBits == 0 && offered.ClientBits <= MaxWindowBits {
		a.ClientBits = offered.ClientBits
	}
	return a, nil
}

// Extension formats d for an offer or a response.
func (d Deflate) Extension() Extension {
	e := Extension{Name: DeflateName}
	if d.ServerNoTakeover {
		e.Params = append(e.Params, Param{Name: paramServerNoTakeover})
	}
	if d.ClientNoTakeover {
		e.Params = append(e.Params, Param{Name: paramClientNoTakeover})
	}
	for _, b := range [...]struct {
		name string
		bits uint8
	}{{paramServerBits, d.ServerBits}, {paramClientBits, d.ClientBits}} {
		switch b.bits {
		case 0:
		case AnyWindowBits:
			e.Params = append(e.Params, Param{Name: b.name})
		default:
			e.Params = append(e.Params, Param{Name: b.name, Value: strconv.Itoa(int(b.bits)), HasValue: true})
		}
	}
	return e
}

// parseDeflate parses the parameters of an offer or a response. Its errors are the reasons for which RFC 7692 §7 requires a server
// to decline and a client to fail the connection: a parameter that is unknown, not defined for this use, repeated, or has an
// invalid value.
func parseDeflate(e Extension, offer bool) (d Deflate, err error) {
	seen := 0
	for _, p := range e.Params {
		var bit int
		switch p.Name {
		case paramServerNoTakeover:
			bit, d.ServerNoTakeover = 1, true
			err = requireNoValue(p)
		case paramClientNoTakeover:
			bit, d.ClientNoTakeover = 2, true
			err = requireNoValue(p)
		case paramServerBits:
			bit = 4
			d.ServerBits, err = parseBits(p)
		case paramClientBits:
			bit = 8
			if offer && !p.HasValue { // RFC 7692 §7.1.2.2: in an offer the value may be omitted
				d.ClientBits = AnyWindowBits
			} else {
				d.ClientBits, err = parseBits(p)
			}
		default:
			err = errors.New(DeflateName + " with a parameter that RFC 7692 does not define")
		}
		if err == nil && seen&bit != 0 {
			err = errors.New(p.Name + " occurs twice")
		}
		if err != nil {
			return Deflate{}, err
		}
		seen |= bit
	}
	return d, nil
}

func requireNoValue(p Param) error {
	if p.HasValue { // RFC 7692 §7.1.1.1, §7.1.1.2: the parameter "has no value"
		return errors.New(p.Name + " with a value")
	}
	return nil
}

// parseBits parses a value according to RFC 7692 §7.1.2: "a decimal integer value without leading zeroes between 8 to
// 15 inclusive".
func parseBits(p Param) (uint8, error) {
	switch p.Value {
	case "8", "9":
		return p.Value[0] - '0', nil
	case "10", "11", "12", "13", "14", "15":
		return 10 + p.Value[1] - '0', nil
	}
	return 0, errors.New(p.Name + " without a value between 8 and 15")
}

// checkParamValues rejects "name=" without a value, as the grammar requires (RFC 6455 §9.1), except for permessage-deflate: RFC 7692 §7
// requires the server to decline an invalid value of that extension and to open the connection without it.
func checkParamValues(e Extension) error {
	if e.Name == DeflateName {
		return nil
	}
	for _, p := range e.Params {
		if p.HasValue && p.Value == "" {
			return errors.New("a parameter with an equals sign and no value")
		}
	}
	return nil
}
