package handshake

import (
	"bufio"
	"encoding/json"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// extension parses one extension.
func extension(t testing.TB, s string) Extension {
	t.Helper()
	list, err := ParseExtensions([]string{s})
	if err != nil || len(list) != 1 {
		t.Fatalf("%q is %d extensions (%v)", s, len(list), err)
	}
	return list[0]
}

func TestRFC7692_7_1_Negotiate(t *testing.T) {
	const pmd = "permessage-deflate"
	for _, tt := range []struct {
		offer  string
		policy DeflatePolicy
		want   string // "" means declined
	}{
		{pmd, DeflatePolicy{}, pmd},
		{pmd, DeflatePolicy{}, pmd},
		{pmd + "; client_max_window_bits", DeflatePolicy{}, pmd + "; client_max_window_bits=12"},
		{pmd + "; client_max_window_bits=8", DeflatePolicy{}, pmd},
		{pmd + "; client_max_window_bits=15", DeflatePolicy{}, pmd + "; client_max_window_bits=12"},
		{pmd + "; client_max_window_bits", DeflatePolicy{ServerNoTakeover: true}, pmd + "; server_no_context_takeover; client_max_window_bits=12"},
		{pmd + "; client_max_window_bits", DeflatePolicy{ClientNoTakeover: true}, pmd + "; client_no_context_takeover"},
		{pmd + "; client_no_context_takeover; client_max_window_bits", DeflatePolicy{}, pmd + "; client_no_context_takeover"},
		{pmd + "; client_max_window_bits", DeflatePolicy{MaxClientBits: 15}, pmd},
		{pmd + "; client_max_window_bits=15", DeflatePolicy{MaxClientBits: 15}, pmd},
		{pmd + "; client_max_window_bits", DeflatePolicy{MaxClientBits: 10}, pmd + "; client_max_window_bits=10"},
		{pmd + "; client_max_window_bits=12", DeflatePolicy{MaxClientBits: 10}, pmd + "; client_max_window_bits=10"},
		{pmd + "; client_max_window_bits=9", DeflatePolicy{MaxClientBits: 10}, pmd + "; client_max_window_bits=9"},
		{pmd + "; client_max_window_bits=9", DeflatePolicy{}, pmd + "; client_max_window_bits=9"},
		{pmd + "; client_max_window_bits=8", DeflatePolicy{MaxClientBits: 10}, pmd},
		{pmd + "; client_max_window_bits", DeflatePolicy{MaxClientBits: 8}, pmd + "; client_max_window_bits=9"}, // Firefox hangs on 8
		{pmd, DeflatePolicy{MaxClientBits: 10}, pmd},                                                            // not offered
		{pmd + "; server_max_window_bits=10", DeflatePolicy{}, pmd + "; server_max_window_bits=10"},
		{pmd + "; server_max_window_bits=15", DeflatePolicy{}, pmd + "; server_max_window_bits=15"},
		{pmd + "; server_max_window_bits=12", DeflatePolicy{MaxServerBits: 11}, pmd + "; server_max_window_bits=11"},
		{pmd, DeflatePolicy{MaxServerBits: 11}, pmd + "; server_max_window_bits=11"},
		{pmd + "; server_max_window_bits=8", DeflatePolicy{}, ""},
		{pmd + "; server_max_window_bits=8", DeflatePolicy{MinBits: 8}, pmd + "; server_max_window_bits=8"},
		{pmd + "; server_max_window_bits=10", DeflatePolicy{MinBits: 15}, ""},
		{pmd + "; server_no_context_takeover", DeflatePolicy{}, pmd + "; server_no_context_takeover"},
		{pmd + "; client_no_context_takeover", DeflatePolicy{}, pmd + "; client_no_context_takeover"},
		{pmd, DeflatePolicy{ServerNoTakeover: true, ClientNoTakeover: true}, pmd + "; server_no_context_takeover; client_no_context_takeover"},
		{pmd + `; server_max_window_bits="10"`, DeflatePolicy{}, pmd + "; server_max_window_bits=10"},
		{"foo, " + pmd, DeflatePolicy{}, pmd},
		{pmd + "; server_max_window_bits=7, " + pmd, DeflatePolicy{}, pmd},
		{pmd + "; server_max_window_bits=8, " + pmd, DeflatePolicy{}, pmd},
		{pmd + "; server_no_context_takeover, " + pmd, DeflatePolicy{}, pmd + "; server_no_context_takeover"}, // in the client's order

		{"foo", DeflatePolicy{}, ""},
		{"Permessage-Deflate", DeflatePolicy{}, ""},
		{pmd + "; foo", DeflatePolicy{}, ""},
		{pmd + "; server_max_window_bits", DeflatePolicy{}, ""},
		{pmd + "; server_max_window_bits=", DeflatePolicy{}, ""},
		{pmd + "; server_max_window_bits=7", DeflatePolicy{}, ""},
		{pmd + "; server_max_window_bits=16", DeflatePolicy{}, ""},
		{pmd + "; server_max_window_bits=010", DeflatePolicy{}, ""},
		{pmd + "; server_max_window_bits=+10", DeflatePolicy{}, ""},
		{pmd + "; client_max_window_bits=", DeflatePolicy{}, ""},
		{pmd + "; client_max_window_bits=16", DeflatePolicy{}, ""},
		{pmd + "; server_no_context_takeover=1", DeflatePolicy{}, ""},
		{pmd + "; client_no_context_takeover=", DeflatePolicy{}, ""},
		{pmd + "; server_no_context_takeover; server_no_context_takeover", DeflatePolicy{}, ""},
		{pmd + "; client_max_window_bits; client_max_window_bits=10", DeflatePolicy{}, ""},
		{pmd + "; server_max_window_bits=10; server_max_window_bits=10", DeflatePolicy{}, ""},
	} {
		offers, err := ParseExtensions([]string{tt.offer})
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if d, ok := NegotiateDeflate(offers, tt.policy); ok {
			got = d.Extension().String()
		}
		if got != tt.want {
			t.Errorf("%q with %+v: %q, want %q", tt.offer, tt.policy, got, tt.want)
		}
	}
}

func TestRFC7692_7_1_Verify(t *testing.T) {
	const pmd = "permessage-deflate"
	usual := Deflate{ClientBits: AnyWindowBits}
	for _, tt := range []struct {
		offered Deflate
		answer  string
		want    Deflate
		ok      bool
	}{
		{usual, pmd, Deflate{}, true},
		{usual, pmd + "; server_no_context_takeover", Deflate{ServerNoTakeover: true}, true},
		{usual, pmd + "; client_no_context_takeover", Deflate{ClientNoTakeover: true}, true},
		{usual, pmd + "; server_max_window_bits=8", Deflate{ServerBits: 8}, true},
		{usual, pmd + "; client_max_window_bits=9", Deflate{ClientBits: 9}, true},
		{usual, pmd + "; client_max_window_bits=8", Deflate{}, false}, // the compressor does not support this window
		{usual, pmd + "; client_max_window_bits", Deflate{}, false},
		{usual, pmd + "; server_max_window_bits", Deflate{}, false},
		{usual, pmd + "; server_max_window_bits=16", Deflate{}, false},
		{usual, pmd + "; server_no_context_takeover; server_no_context_takeover", Deflate{}, false},
		{usual, pmd + "; foo=1", Deflate{}, false},
		{Deflate{}, pmd + "; client_max_window_bits=10", Deflate{}, false}, // not offered
		{Deflate{ClientBits: 10}, pmd + "; client_max_window_bits=11", Deflate{}, false},
		{Deflate{ClientBits: 10}, pmd + "; client_max_window_bits=10", Deflate{ClientBits: 10}, true},
		{Deflate{ClientBits: 10}, pmd, Deflate{ClientBits: 10}, true}, // the client has announced this window, so no answer is required
		{Deflate{ClientBits: 15}, pmd, Deflate{ClientBits: 15}, true},
		{Deflate{ClientNoTakeover: true}, pmd, Deflate{ClientNoTakeover: true}, true},
		{Deflate{ServerNoTakeover: true}, pmd, Deflate{}, false},
		{Deflate{ServerNoTakeover: true}, pmd + "; server_no_context_takeover", Deflate{ServerNoTakeover: true}, true},
		{Deflate{ServerBits: 10}, pmd, Deflate{}, false},
		{Deflate{ServerBits: 10}, pmd + "; server_max_window_bits=11", Deflate{}, false},
		{Deflate{ServerBits: 10}, pmd + "; server_max_window_bits=9", Deflate{ServerBits: 9}, true},
	} {
		got, err := VerifyDeflate(extension(t, tt.answer), tt.offered, 9)
		if (err == nil) != tt.ok || got != tt.want {
			t.Errorf("%q to %q: %+v, %v", tt.answer, tt.offered.Extension(), got, err)
		}
	}
}

// The client accepts the server's response to its own offer.
func FuzzDeflate(f *testing.F) {
	f.Add("permessage-deflate; client_max_window_bits", byte(0), byte(0), byte(0), byte(0), byte(0))
	f.Add("permessage-deflate; server_max_window_bits=10", byte(3), byte(12), byte(9), byte(8), byte(1))
	f.Add("permessage-deflate", byte(1), byte(10), byte(10), byte(9), byte(7))
	f.Fuzz(func(t *testing.T, s string, flags, serverBits, clientBits, minBits, peer byte) {
		bits := func(b byte) uint8 { return [...]uint8{0, 8, 9, 10, 11, 12, 13, 14, 15}[b%9] }
		policy := DeflatePolicy{
			ServerNoTakeover: flags&1 != 0, ClientNoTakeover: flags&2 != 0,
			MaxServerBits: bits(serverBits), MaxClientBits: bits(clientBits), MinBits: bits(minBits),
		}
		other := DeflatePolicy{ServerNoTakeover: peer&1 != 0, MaxServerBits: bits(peer >> 1), MaxClientBits: bits(peer >> 3)}
		offered := OfferDeflate(other)
		check := func(list []Extension, offered *Deflate) {
			agreed, ok := NegotiateDeflate(list, policy)
			if !ok {
				return
			}
			e := extension(t, agreed.Extension().String())
			if agreed.ClientBits == 8 || agreed.ServerBits != 0 && agreed.ServerBits < policy.minBits() {
				t.Errorf("an answer with a window that is not supported: %s", e)
			}
			if offered == nil {
				return
			}
			if _, err := VerifyDeflate(e, *offered, 9); err != nil {
				t.Errorf("%q answered with %q: %v", offered.Extension(), e, err)
			}
		}
		check([]Extension{extension(t, offered.Extension().String())}, &offered)
		if list, err := ParseExtensions([]string{s}); err == nil {
			check(list, nil)
			if d, err := parseDeflate(list[0], true); list[0].Name == DeflateName && err == nil {
				check(list[:1], &d)
			}
		}
	})
}

// sharedCases are the cases in the library's testdata that concern the negotiation of permessage-deflate.
func sharedCases(t *testing.T) (server, client []sharedCase) {
	t.Helper()
	b, err := os.ReadFile("../testdata/handshake_cases.json")
	if err != nil {
		t.Fatal(err)
	}
	var all struct{ Server, Client []sharedCase }
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	other := func(c sharedCase) bool { return !strings.Contains(c.Name, "pmd") && !strings.HasPrefix(c.Name, "ext-") }
	return slices.DeleteFunc(all.Server, other), slices.DeleteFunc(all.Client, other)
}

type sharedCase struct {
	Name, Request, Response string
	Expect                  []string
	Check                   struct {
		NoHeader string `json:"no_header"`
		PMD      *struct {
			Required []string
			NoParam  []string `json:"no_param"`
			Max      map[string]int
		}
	}
}

func TestSharedCases_ServerDeflate(t *testing.T) {
	cases, _ := sharedCases(t)
	if len(cases) < 25 {
		t.Fatalf("only %d cases", len(cases))
	}
	agreed := 0
	for _, c := range cases {
		b := make([]byte, 0, len(c.Request))
		for _, r := range c.Request {
			b = append(b, byte(r))
		}
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(string(b))))
		if err != nil {
			continue // net/http rejects the request, as the case expects
		}
		o := OpeningOf(r)
		v := o.Check()
		if opens := slices.Contains(c.Expect, "101"); opens != (v == nil) {
			t.Errorf("%s: %v, want %v", c.Name, v, c.Expect)
		}
		if v != nil {
			continue
		}
		offers := o.Offers()
		for _, policy := range []DeflatePolicy{{}, {MinBits: 15}, {ServerNoTakeover: true, ClientNoTakeover: true}, {MaxServerBits: 9, MaxClientBits: 9}} {
			d, ok := NegotiateDeflate(offers, policy)
			if !ok {
				continue
			}
			agreed++
			c.judge(t, d.Extension())
		}
	}
	if agreed < 30 {
		t.Errorf("only %d agreements, so the cases test too little", agreed)
	}
}

// judge compares a response with the expectation of the case.
func (c sharedCase) judge(t *testing.T, e Extension) {
	if c.Check.NoHeader != "" {
		t.Errorf("%s: must be declined, answered with %s", c.Name, e)
	}
	if c.Check.PMD == nil {
		return
	}
	params := map[string]string{}
	for _, p := range e.Params {
		params[p.Name] = p.Value
	}
	for _, name := range c.Check.PMD.Required {
		if _, ok := params[name]; !ok {
			t.Errorf("%s: %s lacks %s", c.Name, e, name)
		}
	}
	for name, most := range c.Check.PMD.Max {
		if v, ok := params[name]; ok {
			if n, err := strconv.Atoi(v); err != nil || n > most {
				t.Errorf("%s: %s, want at most %d for %s", c.Name, e, most, name)
			}
		}
	}
}

func TestSharedCases_ClientDeflate(t *testing.T) {
	_, cases := sharedCases(t)
	if len(cases) < 18 {
		t.Fatalf("only %d cases", len(cases))
	}
	offer := OfferDeflate(DeflatePolicy{})
	req := &Request{
		Key: "dGhlIHNhbXBsZSBub25jZQ==", Subprotocols: []string{"chat", "superchat"},
		Extensions: []Extension{offer.Extension()},
	}
	for _, c := range cases {
		got := "open"
		var h Head
		a, _, v := h.Feed([]byte(strings.ReplaceAll(c.Response, "{{ACCEPT}}", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")))
		if v == nil && a != nil {
			var list []Extension
			if _, list, v = Verify(a, req); v == nil {
				for _, e := range list {
					if _, err := VerifyDeflate(e, offer, 9); err != nil {
						got = "fail"
					}
				}
			}
		}
		if v != nil || a == nil {
			got = "fail"
		}
		if !slices.Contains(c.Expect, got) {
			t.Errorf("%s: %s (%v), want %v", c.Name, got, v, c.Expect)
		}
	}
}
