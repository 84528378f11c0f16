package gateway

import (
	"context"
	"net"
	"net/netip"

	"github.com/handfast/handfast/gateway/internal/clientaddr"
	"github.com/handfast/handfast/gateway/internal/proxyproto"
)

// peer is the peer of a connection. It is stored in the contexts of the connection. It is immutable after preface.
type peer struct {
	addr     netip.AddrPort // the client's address, taken from the PROXY header if there is one
	via      netip.Addr     // the balancer that sent the PROXY header; the zero Addr if there is none
	listener *listener      // the settings of the listener when the connection was accepted
}

type (
	portKey struct{}
	peerKey struct{}
)

// baseContext adds the port to the context of its connections.
func baseContext(l net.Listener) context.Context {
	return context.WithValue(context.Background(), portKey{}, l)
}

// connContext adds a peer to the context of a connection.
func connContext(ctx context.Context, nc net.Conn) context.Context {
	p := &peer{addr: addrOf(nc.RemoteAddr())}
	if from, ok := ctx.Value(portKey{}).(*port); ok {
		p.listener = from.policy.Load()
	}
	return context.WithValue(ctx, peerKey{}, p)
}

// peerOf returns the peer in a context, or nil if there is none.
func peerOf(ctx context.Context) *peer {
	p, _ := ctx.Value(peerKey{}).(*peer)
	return p
}

// addrOf converts a TCP address, without a zone. It returns the zero AddrPort for other addresses.
func addrOf(addr net.Addr) netip.AddrPort {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	at := tcp.AddrPort()
	return netip.AddrPortFrom(at.Addr().Unmap().WithZone(""), at.Port())
}

// preface reads the PROXY header of a connection from a balancer, and rejects connections of addresses that open too many.
func (s *entrance) preface(ctx context.Context, nc net.Conn) (net.Addr, error) {
	p := peerOf(ctx)
	if !clientaddr.Trusted(p.listener.proxies, p.addr.Addr()) {
		return nil, s.checkArrival(p)
	}
	h, err := proxyproto.Read(nc)
	if err != nil {
		return nil, err
	}
	if !h.Source.IsValid() {
		return nil, s.checkArrival(p)
	}
	p.via, p.addr = p.addr.Addr(), h.Source
	return net.TCPAddrFromAddrPort(p.addr), s.checkArrival(p)
}

// checkArrival returns an error, which is not reported, if the address has opened too many connections.
func (s *entrance) checkArrival(p *peer) error {
	if s.adm.allowsConnection(p.addr.Addr()) {
		return nil
	}
	return net.ErrClosed
}
