package gateway

import (
	"github.com/handfast/handfast/auth"
	"github.com/handfast/handfast/gateway/internal/registry"
	"github.com/handfast/handfast/internal/limit"
	"github.com/handfast/handfast/observe"
)

// endpointState is the state of an endpoint that reloads preserve, as long as there is an endpoint with that name.
type endpointState struct {
	rate    limit.Rate // the rates of handshakes, by address
	metrics *observe.Endpoint
	sum     registry.Sum
}

// endpointState returns the lasting state of the endpoint with that name, or a new one. The site may be nil.
func (n *site) endpointState(name string) *endpointState {
	if n != nil {
		for _, e := range n.endpoints {
			if e.cfg.Name == name {
				return e.endpointState
			}
		}
	}
	return &endpointState{metrics: observe.NewEndpoint(name, int(auth.CodeExpired))}
}

// traffic returns the traffic of the current endpoints, for the metrics.
func (s *Server) traffic() []observe.Traffic {
	list := []observe.Traffic{{Endpoint: s.rec.unknownEndpoint}}
	site := s.site.Load()
	if site == nil {
		return list
	}
	sums := make([]*registry.Sum, len(site.endpoints))
	for i, e := range site.endpoints {
		sums[i] = &e.sum
	}
	for i, t := range s.conns.Traffic(sums) {
		list = append(list, observe.Traffic{
			Endpoint: site.endpoints[i].metrics, MessagesIn: t.MessagesIn, MessagesOut: t.MessagesOut, BytesIn: t.BytesIn, BytesOut: t.BytesOut,
		})
	}
	return list
}
