package explain

import (
	"errors"
	"net"
	"strings"
	"testing"
)

// Each error of a lookup has its own reason, and the name server that was queried is recorded.
func TestDNSReason(t *testing.T) {
	for want, err := range map[string]error{
		"no address of this kind": nil, "the name server did not answer in time": &net.DNSError{IsTimeout: true},
		"no such name or no address of this kind": &net.DNSError{IsNotFound: true}, "server misbehaving": &net.DNSError{Err: "server misbehaving"},
		"something": errors.New("something"),
	} {
		if got := dnsReason(err); got != want {
			t.Errorf("%v: %s", err, got)
		}
	}
	if got := dnsReason(&net.AddrError{Err: "no suitable address"}); got != "no address of this kind" {
		t.Error(got)
	}
	var asked askedServers
	if got := asked.String(); !strings.Contains(got, "this machine resolves the name itself") {
		t.Error(got)
	}
	asked.servers = []string{"192.0.2.1:53", "192.0.2.2:53"}
	if got := asked.String(); got != "the name server 192.0.2.1:53, 192.0.2.2:53" {
		t.Error(got)
	}
	for want, errs := range map[Fault][2]error{
		FaultNameNotFound: {&net.DNSError{IsNotFound: true}, nil}, FaultNameServer: {&net.DNSError{IsNotFound: true}, &net.DNSError{IsTimeout: true}},
	} {
		tr := newTracer(t.Context(), nil)
		tr.dialer.judgeLookup(StageDNS, "box.example", [2]lookup{{err: errs[0]}, {err: errs[1]}}, &dnsAnswers{})
		if len(tr.r.Findings) != 1 || tr.r.Findings[0].Fault != want {
			t.Errorf("%v: %+v", errs, tr.r.Findings)
		}
	}
}
