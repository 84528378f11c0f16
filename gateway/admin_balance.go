package gateway

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"

	"github.com/handfast/handfast/balance"
	"github.com/handfast/handfast/balance/proxy"
	"github.com/handfast/handfast/observe"
)

// Balance is the JSON response of /balance of the admin listener.
type Balance struct {
	Endpoints []BalancedEndpoint `json:"endpoints"` // in the order of the configuration
}

// BalancedEndpoint is an endpoint with a balancer.
type BalancedEndpoint struct {
	Endpoint string `json:"endpoint"` // the endpoint's name
	proxy.Status
}

// BalancedServer is a server of a [BalancedEndpoint].
type BalancedServer = proxy.ServerStatus

// balancers returns the targets that are balancers, or only the one of an endpoint if name is not empty.
func (n *site) balancers(name string) (list []*balanceTarget) {
	for _, e := range n.endpoints {
		if t, ok := e.target.Target.(*balanceTarget); ok && (name == "" || e.cfg.Name == name) {
			list = append(list, t)
		}
	}
	return list
}

// listServers returns the servers of every endpoint with a balancer.
func (s *operator) listServers(w http.ResponseWriter, r *http.Request) {
	out := Balance{Endpoints: []BalancedEndpoint{}}
	for _, t := range s.site().balancers(r.FormValue("endpoint")) {
		out.Endpoints = append(out.Endpoints, BalancedEndpoint{t.name, t.Status()})
	}
	writeJSON(w, out)
}

// forServer calls do for the requested targets and the requested server. At least one target must know the server; otherwise the
// response is 404. First may is called for all of these targets: if it returns an error other than [proxy.ErrUnknown], that is the
// response, and nothing changes. may can be nil.
func (s *operator) forServer(w http.ResponseWriter, r *http.Request, may, do func(t *balanceTarget, id string) error) {
	r.Body = http.MaxBytesReader(w, r.Body, 4<<10)
	if err := r.ParseForm(); err != nil {
		badRequest(w, "the form cannot be read")
		return
	}
	id, err := serverID(r.Form.Get("server"))
	if err != nil {
		badRequest(w, "server: %v; write ws://host:port", err)
		return
	}
	name := r.Form.Get("endpoint")
	list := s.site().balancers(name)
	if len(list) == 0 {
		if name != "" {
			name = strconv.Quote(name) + " "
		}
		plain(w, http.StatusNotFound, "no endpoint "+name+"has a balancer\n")
		return
	}
	for _, t := range list {
		if may == nil {
			break
		}
		if err := may(t, id); err != nil && !errors.Is(err, proxy.ErrUnknown) {
			badRequest(w, "%v", err)
			return
		}
	}
	done := 0
	for _, t := range list {
		switch err := do(t, id); {
		case err == nil:
			done++
			s.rec.audit.log(observe.AuditServer, observe.KeyEndpoint, t.name, observe.KeyServer, id, observe.KeyDecision, r.Method+" "+r.URL.Path)
		case !errors.Is(err, proxy.ErrUnknown):
			badRequest(w, "%v", err)
			return
		}
	}
	if done == 0 {
		plain(w, http.StatusNotFound, fmt.Sprintf("there is no server %s; /balance lists them\n", id))
		return
	}
	s.listServers(w, r)
}

// drainServer stops sending new clients to a server, and moves its clients to others.
func (s *operator) drainServer(w http.ResponseWriter, r *http.Request) {
	pace, err := 0.0, error(nil)
	if text := r.FormValue("pace"); text != "" {
		if pace, err = strconv.ParseFloat(text, 64); err != nil || !(pace > 0) || math.IsInf(pace, 0) {
			badRequest(w, "pace must be a number of connections per second")
			return
		}
	}
	s.forServer(w, r, nil, func(t *balanceTarget, id string) error { return t.Drain(id, pace) })
}

// undrainServer ends the drain of a server.
func (s *operator) undrainServer(w http.ResponseWriter, r *http.Request) {
	s.forServer(w, r, nil, func(t *balanceTarget, id string) error { return t.Undrain(id) })
}

// addServer adds a server, which stays when the configuration is reloaded.
func (s *operator) addServer(w http.ResponseWriter, r *http.Request) {
	spec := balance.Spec{}
	for _, p := range []struct {
		name string
		into *int
	}{{"weight", &spec.Weight}, {"capacity", &spec.Capacity}} {
		text := r.FormValue(p.name)
		if text == "" {
			continue
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			badRequest(w, "%s: a number from 1", p.name)
			return
		}
		if p.name == "weight" && n > proxy.MaxWeight {
			badRequest(w, "weight must be a number from 1 to %d", proxy.MaxWeight)
			return
		}
		*p.into = n
	}
	s.changeServers(w, r, func(t *balanceTarget, id string, list []balance.Spec) ([]balance.Spec, error) {
		rest := without(list, id)
		if len(rest) == len(list) && t.knows(id) {
			return nil, fmt.Errorf("the server is already in the list of the endpoint %q, from the configuration, the file or the DNS; its weight and capacity are set there", t.name)
		}
		spec.ID = id
		return append(rest, spec), nil
	})
}

// removeServer removes a server that an operator has added. Its clients stay until they leave or a drain moves them.
func (s *operator) removeServer(w http.ResponseWriter, r *http.Request) {
	s.changeServers(w, r, func(t *balanceTarget, id string, list []balance.Spec) ([]balance.Spec, error) {
		rest := without(list, id)
		if len(rest) == len(list) {
			if t.knows(id) {
				return nil, fmt.Errorf("the server was not added to the endpoint %q by an operator; it is from the configuration, the file or the DNS, and can only be drained", t.name)
			}
			return nil, proxy.ErrUnknown
		}
		return rest, nil
	})
}

// changeServers changes the servers that operators have added, at all requested targets or, if one of them fails, at none.
func (s *operator) changeServers(w http.ResponseWriter, r *http.Request, with func(*balanceTarget, string, []balance.Spec) ([]balance.Spec, error)) {
	s.forServer(w, r, func(t *balanceTarget, id string) error {
		_, err := with(t, id, t.Servers(serversOfOperator))
		return err
	}, func(t *balanceTarget, id string) error {
		return t.change(func(list []balance.Spec) ([]balance.Spec, error) { return with(t, id, list) })
	})
}

func without(list []balance.Spec, id string) []balance.Spec {
	return slices.DeleteFunc(list, func(s balance.Spec) bool { return s.ID == id })
}

// change changes the servers that operators have added to this target.
func (t *balanceTarget) change(with func([]balance.Spec) ([]balance.Spec, error)) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	list, err := with(t.Servers(serversOfOperator))
	if err != nil {
		return err
	}
	return t.SetServers(serversOfOperator, list)
}

// knows reports whether the target has a server with this ID.
func (t *balanceTarget) knows(id string) bool {
	return slices.ContainsFunc(t.Status().Servers, func(s proxy.ServerStatus) bool { return s.ID == id && s.State != balance.Removed })
}

// admissions returns the admission counters of the balancers, for the metrics.
func (s *Server) admissions() (list []observe.Admission) {
	n := s.site.Load()
	if n == nil {
		return nil
	}
	for _, t := range n.balancers("") {
		st := t.Status()
		list = append(list, observe.Admission{
			Endpoint: t.name, Limited: st.Storm.Limited, Rate: st.Storm.Rate, Underway: st.Storm.Underway, Waiting: st.Waiting,
			AdmittedNew: st.Storm.Admitted - st.Storm.AdmittedResuming, AdmittedResuming: st.Storm.AdmittedResuming,
			RefusedNew: st.Storm.Refused - st.Storm.RefusedResuming, RefusedResuming: st.Storm.RefusedResuming,
		})
	}
	return list
}

// upstreams returns the state of the balancers' servers, for the metrics.
func (s *Server) upstreams() (list []observe.Upstream) {
	n := s.site.Load()
	if n == nil {
		return nil
	}
	for _, t := range n.balancers("") {
		for _, u := range t.Status().Servers {
			closed := make(map[int]uint64, len(u.Closed))
			for code, n := range u.Closed {
				closed[int(code)] = n
			}
			list = append(list, observe.Upstream{
				Endpoint: t.name, Server: u.ID, State: string(u.State), Live: u.Live, Load: u.Load,
				BytesIn: uint64(u.FromClients), BytesOut: uint64(u.FromServer), MessagesIn: u.MessagesFromClients, MessagesOut: u.MessagesFromServer, Resumed: u.Resumed, Closed: closed,
			})
		}
	}
	return list
}
