package explain

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
)

// maxAddresses is the maximum number of a name's addresses that are tried.
const maxAddresses = 8

// lookup is the result for one address family of a name.
type lookup struct {
	kind  string // "A" or "AAAA"
	addrs []netip.Addr
	took  Duration
	err   error
}

// resolve returns the addresses of a host in the order in which they are tried: IPv6 and IPv4 alternate, with IPv6 first, as RFC 8305 §4
// recommends. It records a failure, and then returns nil.
func (t *dialer) resolve(host string, stage Stage) []netip.Addr {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a}
	}
	s := t.run.begin(stage, "resolve "+host)
	asked := &askedServers{answers: &dnsAnswers{name: strings.ToLower(strings.TrimSuffix(host, "."))}}
	res := asked.wrap(t.run.o.Resolver)
	ctx, cancel := t.run.bounded(t.run.o.StepTimeout)
	defer cancel()
	answers := [2]lookup{{kind: "AAAA"}, {kind: "A"}}
	var wg sync.WaitGroup
	for i, network := range [...]string{"ip6", "ip4"} {
		wg.Go(func() {
			start := t.run.since()
			a := &answers[i]
			a.addrs, a.err = res.LookupNetIP(ctx, network, host)
			a.took = t.run.since() - start
		})
	}
	wg.Wait()
	for _, a := range answers {
		for _, addr := range a.addrs {
			s.Facts = append(s.Facts, Fact{a.kind, fmt.Sprintf("%s in %s", addr.Unmap(), a.took)})
		}
		if len(a.addrs) == 0 {
			s.Facts = append(s.Facts, Fact{a.kind, fmt.Sprintf("none in %s: %s", a.took, dnsReason(a.err))})
		}
	}
	s.Facts = append(s.Facts, Fact{"asked", asked.String()})
	if isLocalhost(host) { // RFC 6761 §6.3: "Users are free to use localhost names ... resolve to the respective IP loopback addresses"
		for i, a := range [...]netip.Addr{netip.IPv6Loopback(), netip.AddrFrom4([4]byte{127, 0, 0, 1})} {
			if len(answers[i].addrs) == 0 {
				answers[i].addrs = []netip.Addr{a}
				s.Facts = append(s.Facts, Fact{answers[i].kind, a.String() + ", to which browsers resolve localhost without a lookup"})
			}
		}
	}
	addrs := interleave(answers[0].addrs, answers[1].addrs)
	if len(addrs) > 0 {
		t.run.end(s, fmt.Sprintf("%s has %s", host, count(len(addrs), "address", "addresses")))
		return addrs
	}
	s.OK = false
	t.judgeLookup(stage, host, answers, asked.answers)
	t.run.end(s, t.run.r.Findings[len(t.run.r.Findings)-1].Detail)
	return nil
}

// judgeLookup records why a name has no address.
func (t *dialer) judgeLookup(stage Stage, host string, answers [2]lookup, responses *dnsAnswers) {
	if t.run.stopped(stage) {
		return
	}
	switch {
	case responses.hasCode(rcodeServFail):
		t.run.fail(stage, FaultNameServer, "", "the name server answered SERVFAIL to the question for "+host)
		return
	case responses.hasCode(rcodeRefused):
		t.run.fail(stage, FaultNameServer, "", "the name server refused to answer the question for "+host+" (REFUSED)")
		return
	}
	for _, a := range answers {
		e, ok := errors.AsType[*net.DNSError](a.err)
		if ok && !e.IsNotFound {
			t.run.fail(stage, FaultNameServer, "", fmt.Sprintf("no address of %s could be determined: %s", host, dnsReason(a.err)))
			return
		}
	}
	detail := "the name " + host + " has no address"
	switch {
	case responses.hasCode(rcodeNXDomain):
		detail = "the name " + host + " does not exist (NXDOMAIN)"
	case responses.hasCode(rcodeNone):
		detail = "the name " + host + " exists, and " + noAddress
	}
	t.run.fail(stage, FaultNameNotFound, "", detail)
}

// noAddress is the end of the detail about a name that exists but has no address.
const noAddress = "has no address: neither an A nor an AAAA record"

// isLocalhost reports whether a name always means this machine (RFC 6761 §6.3).
func isLocalhost(name string) bool {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	return name == "localhost" || strings.HasSuffix(name, ".localhost")
}

// dnsReason describes why a lookup failed.
func dnsReason(err error) string {
	e, ok := errors.AsType[*net.DNSError](err)
	switch {
	case err == nil:
		return "no address of this kind"
	case errors.As(err, new(*net.AddrError)): // a local source has only addresses of the other family
		return "no address of this kind"
	case !ok:
		return shortError(err)
	case e.IsNotFound:
		return "no such name or no address of this kind"
	case e.IsTimeout:
		return "the name server did not answer in time"
	}
	return e.Err
}

// interleave returns addresses of both lists alternately, without duplicates, and at most maxAddresses.
func interleave(a, b []netip.Addr) []netip.Addr {
	var all []netip.Addr
	for i := range max(len(a), len(b)) {
		for _, list := range [...][]netip.Addr{a, b} {
			if i < len(list) && len(all) < maxAddresses && !slices.Contains(all, list[i].Unmap()) {
				all = append(all, list[i].Unmap())
			}
		}
	}
	return all
}

// askedServers records which name servers were queried.
type askedServers struct {
	answers *dnsAnswers // nil means that responses are not examined

	mu      sync.Mutex
	servers []string
}

// wrap returns a resolver like r that records which servers it queries.
func (a *askedServers) wrap(r *net.Resolver) *net.Resolver {
	dial := (&net.Dialer{}).DialContext
	w := &net.Resolver{}
	if r != nil {
		w.PreferGo, w.StrictErrors = r.PreferGo, r.StrictErrors
		if r.Dial != nil {
			dial = r.Dial
		}
	}
	w.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dial(ctx, network, address)
		if err == nil && c.RemoteAddr() != nil {
			address = c.RemoteAddr().String() // the Dial of the caller's resolver may have connected elsewhere
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		if !slices.Contains(a.servers, address) {
			a.servers = append(a.servers, address)
		}
		if err == nil {
			c = a.answers.observe(c)
		}
		return c, err
	}
	return w
}

func (a *askedServers) String() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.servers) == 0 {
		return "no name server: this machine resolves the name itself"
	}
	return "the name server " + strings.Join(a.servers, ", ")
}

// count formats a number with a noun in the singular or in the plural.
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
