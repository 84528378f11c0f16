package explain

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/handfast/handfast/internal/chain"
)

const maxIssuer = 64 << 10 // maximum size of a certificate in bytes

// completesChain is the end of the detail if a fetched intermediate certificate completes the chain.
const completesChain = "; with this certificate the chain is complete"

// fetchIssuer fetches the issuer's certificate from the URL in the last certificate of the chain, as some browsers do. It returns the
// problem that the certificate proves: the server does not send an intermediate certificate, or the issuer is a CA that is not trusted.
// It returns nil if the certificate proves neither.
func (t *dialer) fetchIssuer() *trustProblem {
	sent := t.secure.state.PeerCertificates
	last := sent[len(sent)-1]
	i := slices.IndexFunc(last.IssuingCertificateURL, func(u string) bool { return strings.HasPrefix(u, "http://") })
	if i < 0 {
		return nil
	}
	where := last.IssuingCertificateURL[i]
	s := t.run.begin(StageProbe, "fetch the issuer's certificate")
	s.Facts = []Fact{{"from", oneLine(where)}}
	issuer, err := t.fetchCertificate(where)
	if err != nil {
		s.OK = false
		t.run.end(s, "could not be fetched: "+shortError(err))
		return nil
	}
	name := oneLine(chain.NameOf(issuer.Subject))
	if _, err := chain.Path(sent, []*x509.Certificate{issuer}, chain.Options{Roots: t.secure.cfg.RootCAs, Now: time.Now()}); err != nil {
		s.OK = false
		t.run.end(s, name+"; with this certificate the chain is still not trusted")
		if chain.IsSelfSigned(issuer) && last.CheckSignatureFrom(issuer) == nil {
			return &trustProblem{FaultCertUnknown, chain.ClausePath, "the CA " + name + ", whose certificate was fetched, is not trusted here"}
		}
		return nil
	}
	t.run.end(s, name+completesChain)
	return &trustProblem{FaultCertIntermediate, chain.ClausePath, "the server does not send the certificate of " + name + completesChain}
}

// The reasons not to fetch an issuer's certificate.
var (
	errInnerAddress = errors.New("the address of the URL is in a private network, unlike the server's")
	errBehindProxy  = errors.New("not fetched: the connection uses a proxy")
)

// fetchCertificate fetches a certificate from a URL. Because the server chooses the URL, the request is limited: one GET without
// credentials, no redirects, 64 KiB, two seconds, and only addresses that mayFetchFrom allows.
func (t *dialer) fetchCertificate(where string) (*x509.Certificate, error) {
	if t.plan.proxy != nil { // a direct connection may be blocked; through the proxy, mayFetchFrom could not protect the proxy's network
		return nil, errBehindProxy
	}
	ctx, cancel := t.run.bounded(probeTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, where, http.NoBody)
	if err != nil {
		return nil, err
	}
	client := &http.Client{
		Transport: &http.Transport{
			DialContext: t.dialIssuer, DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: maxIssuer,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	defer client.CloseIdleConnections()
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the response is %d", resp.StatusCode)
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxIssuer))
	if err != nil {
		return nil, err
	}
	if block, _ := pem.Decode(b); block != nil {
		b = block.Bytes
	}
	return x509.ParseCertificate(b)
}

// dialIssuer connects to the first allowed address of an issuer.
func (t *dialer) dialIssuer(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	server, err := netip.ParseAddrPort(t.plan.addr)
	if err != nil {
		return nil, err
	}
	addrs := []netip.Addr{}
	if a, err := netip.ParseAddr(host); err == nil {
		addrs = append(addrs, a)
	} else if addrs, err = (&askedServers{}).wrap(t.run.o.Resolver).LookupNetIP(ctx, "ip", host); err != nil {
		return nil, err
	}
	for _, a := range addrs {
		if mayFetchFrom(server.Addr(), a) {
			return t.run.o.Dial(ctx, network, net.JoinHostPort(a.Unmap().String(), port))
		}
	}
	return nil, errInnerAddress
}

// The kinds of addresses, by the places from which they can be reached.
const (
	reachAll      = iota // from everywhere
	reachInner           // from a private network
	reachLink            // from the same link, such as the metadata services of clouds
	reachLoopback        // from this machine
	reachNone            // from nowhere: not an address of a host
)

// notPublic lists the kinds of networks that package netip does not classify.
var notPublic = map[netip.Prefix]int{
	netip.MustParsePrefix("100.64.0.0/10"): reachInner, // RFC 6598 §7
	netip.MustParsePrefix("192.0.0.0/24"):  reachInner, // RFC 6890 §2.2.2
	netip.MustParsePrefix("198.18.0.0/15"): reachInner, // RFC 2544 C.2.2
	netip.MustParsePrefix("64:ff9b::/32"):  reachInner, // RFC 6052 §2.1, RFC 8215: may represent private IPv4 addresses
	netip.MustParsePrefix("0.0.0.0/8"):     reachNone,  // RFC 6890 §2.2.2
	netip.MustParsePrefix("240.0.0.0/4"):   reachNone,  // RFC 1112 §4
}

func reach(a netip.Addr) int {
	a = a.Unmap().WithZone("")
	switch {
	case a.IsLoopback():
		return reachLoopback
	case a.IsLinkLocalUnicast():
		return reachLink
	case a.IsPrivate():
		return reachInner
	case a.IsUnspecified(), a.IsMulticast():
		return reachNone
	}
	for p, kind := range notPublic {
		if p.Contains(a) {
			return kind
		}
	}
	return reachAll
}

// mayFetchFrom reports whether a certificate may be fetched from an address that the server chose: a public address, or an address of
// the same kind as the server's. A server on the Internet must not make the client send requests to addresses that only the client can
// reach.
func mayFetchFrom(server, asked netip.Addr) bool {
	kind := reach(asked)
	return kind == reachAll || kind != reachNone && kind == reach(server)
}
