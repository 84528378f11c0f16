package explain

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/handfast/handfast/internal/redact"
)

// agreedStep judges the subprotocol and the extensions that the server chose.
func (t *tracer) agreedStep(h *head, sent []field) bool {
	s := t.begin(StageAgreed, "subprotocol and extensions")
	v := &verdicts{t: t, s: s, stage: StageAgreed}
	offeredExt := fieldValue(sent, "Sec-WebSocket-Extensions")
	s.Facts = []Fact{
		{"subprotocols offered", orNone(strings.Join(t.r.Target.Subprotocols, ", "))},
		{"subprotocol chosen", orNone(t.shownSubprotocol(h))},
		{"extensions offered", orNone(offeredExt)},
		{"extensions agreed to", orNone(cut(oneLine(t.hide.text(strings.Join(h.values("Sec-WebSocket-Extensions"), ", "))), shortQuote))},
	}
	v.subprotocol(h)
	v.extensions(h, offeredExt != "")
	t.r.Subprotocol = t.shownSubprotocol(h)
	t.r.Extensions = cut(oneLine(t.hide.text(strings.Join(h.values("Sec-WebSocket-Extensions"), ", "))), maxLine)
	t.end(s, joined(
		map[bool]string{true: "no subprotocol", false: "subprotocol " + t.r.Subprotocol}[t.r.Subprotocol == ""],
		map[bool]string{true: "no compression", false: t.r.Extensions}[t.r.Extensions == ""]))
	return !v.failed
}

// shownSubprotocol returns what the server chose, as it may be shown.
func (t *tracer) shownSubprotocol(h *head) string {
	return cut(oneLine(t.hide.value("Sec-WebSocket-Protocol", strings.Join(h.values("Sec-WebSocket-Protocol"), ", "))), shortQuote)
}

// subprotocol: RFC 6455 §4.1 (6), "If the response includes a |Sec-WebSocket-Protocol| header field and this header field
// indicates the use of a subprotocol that was not present in the client's handshake [...], the client MUST _Fail the
// WebSocket Connection_". Browsers also fail when they offered some and the server chose none (WHATWG WebSockets §2.2).
func (v *verdicts) subprotocol(h *head) {
	const clause, text = clauseClient + " (6)", "the subprotocol is one that was offered"
	offered, lines := v.t.subprotocols(), h.values("Sec-WebSocket-Protocol")
	shown := quote(v.t.shownSubprotocol(h))
	switch {
	case len(lines) == 0 && len(offered) == 0:
		v.rule(true, "", clause, text, "none was offered, none was chosen")
	case len(lines) == 0:
		v.rule(false, FaultSubprotocolNone, "WHATWG WebSockets §2.2", "the server chooses one of the subprotocols that were offered",
			"the server chose none, and browsers fail the connection then")
	case len(lines) > 1:
		v.rule(false, FaultSubprotocolRepeated, "RFC 6455 §11.3.4", "Sec-WebSocket-Protocol comes once in an answer",
			"Sec-WebSocket-Protocol comes "+count(len(lines), "time", "times"))
	case !slices.Contains(offered, lines[0]) && len(elements(lines)) > 1 && len(offered) > 0:
		v.rule(false, FaultSubprotocolRepeated, "RFC 6455 §4.2.2 (5)", "the server chooses one subprotocol", "the server chose "+shown)
	case !slices.Contains(offered, lines[0]):
		v.rule(false, FaultSubprotocolUnasked, clause, text, "the server chose "+shown)
	default:
		v.rule(true, "", clause, text, shown)
		if prefix, ok := redact.Subprotocol(lines[0]); ok {
			v.t.warn(StageAgreed, FaultTokenEchoed, "", "the server chose the token itself as the subprotocol, "+quote(prefix+redact.Mark))
		}
	}
}

// extensions: RFC 6455 §4.1 (5), the same for what the answer's Sec-WebSocket-Extensions names, and RFC 7692 §7 for the
// parameters of compression.
func (v *verdicts) extensions(h *head, offered bool) {
	const clause, text = clauseClient + " (5)", "the extensions are among those that were offered"
	lines := h.values("Sec-WebSocket-Extensions")
	if len(lines) == 0 {
		v.rule(true, "", clause, text, "none was agreed to")
		return
	}
	if len(lines) > 1 {
		v.rule(false, FaultExtensionParams, "RFC 6455 §11.3.2", "Sec-WebSocket-Extensions comes once in an answer",
			"Sec-WebSocket-Extensions comes "+count(len(lines), "time", "times"))
		return
	}
	list, err := parseExtensions(lines[0])
	if err != nil {
		v.rule(false, FaultExtensionParams, "RFC 6455 §9.1", "the header follows its grammar", err.Error())
		return
	}
	for i, e := range list {
		if e.name != deflateName || !offered {
			v.rule(false, FaultExtensionUnasked, clause, text, quote(v.t.hide.text(e.name))+" was not offered")
			return
		}
		if i > 0 {
			v.rule(false, FaultExtensionParams, "RFC 7692 §5", "an extension is agreed to once", deflateName+" stands there twice")
			return
		}
	}
	v.rule(true, "", clause, text, deflateName)
	const params = "the parameters are those that RFC 7692 §7.1 knows, each once, with values from 8 to 15"
	d, err := parseDeflate(list[0])
	if err != nil {
		v.rule(false, FaultExtensionParams, "RFC 7692 §7.1", params, err.Error())
		return
	}
	v.t.deflate = &d
	v.rule(true, "", "RFC 7692 §7.1", params, d.String())
}

const deflateName = "permessage-deflate"

// extension is one element of Sec-WebSocket-Extensions.
type extension struct {
	name   string
	params []Field
	bare   []bool // the parameter has no "="
}

// parseExtensions reads the grammar of RFC 6455 §9.1.
func parseExtensions(s string) ([]extension, error) {
	var all []extension
	for part := range splitOutside(s, ',') {
		var e extension
		for i, p := range slices.Collect(splitOutside(part, ';')) {
			p = strings.Trim(p, " \t")
			name, value, valued := strings.Cut(p, "=")
			name = strings.Trim(name, " \t")
			if !isToken(name) {
				return nil, errors.New("a name in it is not a token")
			}
			if i == 0 {
				if valued {
					return nil, errors.New("an extension's name has a value")
				}
				e.name = name
				continue
			}
			value = strings.Trim(value, " \t")
			if len(value) >= 2 && value[0] == '"' && value[len(value)-1] == '"' {
				value = value[1 : len(value)-1] // a token in quotes
			}
			if valued && !isToken(value) {
				return nil, fmt.Errorf("the parameter %s has a value that is not a token", name)
			}
			e.params = append(e.params, Field{name, value})
			e.bare = append(e.bare, !valued)
		}
		all = append(all, e)
	}
	return all, nil
}

// splitOutside splits s at a separator that stands in no quotes.
func splitOutside(s string, separator byte) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		start, quoted := 0, false
		for i := range len(s) {
			switch {
			case s[i] == '"':
				quoted = !quoted
			case s[i] == separator && !quoted:
				if !yield(s[start:i]) {
					return
				}
				start = i + 1
			}
		}
		yield(s[start:])
	}
}

// deflate is what was agreed on for compression (RFC 7692 §7.1).
type deflate struct {
	serverFresh, clientFresh bool // no context takeover: every message begins afresh
	serverBits, clientBits   int  // windows; 0: 15
}

func (d deflate) String() string {
	takeover := "the server goes on with what it sent before (context takeover)"
	if d.serverFresh {
		takeover = "the server begins every message afresh"
	}
	if d.serverBits != 0 {
		takeover += fmt.Sprintf(", window %d bits", d.serverBits)
	}
	return takeover
}

// parseDeflate reads the parameters of an answer. Its errors are the reasons for which RFC 7692 §7 has a client fail the
// connection: a parameter that is unknown, there twice, or of an invalid value.
func parseDeflate(e extension) (d deflate, err error) {
	for i, p := range e.params {
		if slices.ContainsFunc(e.params[:i], func(q Field) bool { return q.Name == p.Name }) {
			return d, fmt.Errorf("%s stands there twice", p.Name)
		}
		switch p.Name {
		case "server_no_context_takeover", "client_no_context_takeover":
			if !e.bare[i] { // RFC 7692 §7.1.1: it has no value
				return d, fmt.Errorf("%s has a value", p.Name)
			}
			d.serverFresh = d.serverFresh || p.Name[0] == 's'
			d.clientFresh = d.clientFresh || p.Name[0] == 'c'
		case "server_max_window_bits", "client_max_window_bits":
			n, err := strconv.Atoi(p.Value) // RFC 7692 §7.1.2: without leading zeros, 8 to 15
			if err != nil || n < 8 || n > 15 || strconv.Itoa(n) != p.Value {
				return d, fmt.Errorf("%s has no value between 8 and 15", p.Name)
			}
			if p.Name[0] == 's' {
				d.serverBits = n
			} else {
				d.clientBits = n
			}
		default:
			return d, errors.New("a parameter in it is none that RFC 7692 knows")
		}
	}
	return d, nil
}

// fieldValue returns the value of a field of the request, "" when it has none.
func fieldValue(fields []field, name string) string {
	for _, f := range fields {
		if f.name == name {
			return f.value
		}
	}
	return ""
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}
