package gateway

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/handfast/handfast/balance"
	"github.com/handfast/handfast/balance/proxy"
	"github.com/handfast/handfast/config"
	"github.com/handfast/handfast/internal/nextstep"
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

// balancers returns the targets that are balancers. If name is not empty, it returns only that of the endpoint with this name.
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

// forServer calls do for the requested targets and the requested server. At least one target must know the server; otherwise the response
// is 404. If may is not nil, may is called for all of these targets first. An error of may other than [proxy.ErrUnknown] becomes the
// response, and do is not called.
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
		plain(w, http.StatusNotFound, "there is no endpoint "+name+"with a balancer\n")
		return
	}
	for _, t := range list {
		if may == nil {
			break
		}
		if err := may(t, id); err != nil && !errors.Is(err, proxy.ErrUnknown) {
			refuseChange(w, err)
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
			refuseChange(w, err)
			return
		}
	}
	if done == 0 {
		plain(w, http.StatusNotFound, fmt.Sprintf("there is no server %s; /balance lists the servers\n", id))
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
			badRequest(w, "%s must be a number from 1", p.name)
			return
		}
		if p.name == "weight" && n > proxy.MaxWeight {
			badRequest(w, "weight must be a number from 1 to %d", proxy.MaxWeight)
			return
		}
		*p.into = n
	}
	s.changeServers(w, r, func(t *balanceTarget, id string, list []balance.Spec) ([]balance.Spec, error) {
		rest := removeSpec(list, id)
		if len(rest) == len(list) && t.hasServer(id) {
			return nil, s.configuredServer(t, id, true)
		}
		spec.ID = id
		return append(rest, spec), nil
	})
}

// removeServer removes a server that an operator has added. Its clients stay until they leave or a drain moves them.
func (s *operator) removeServer(w http.ResponseWriter, r *http.Request) {
	s.changeServers(w, r, func(t *balanceTarget, id string, list []balance.Spec) ([]balance.Spec, error) {
		rest := removeSpec(list, id)
		if len(rest) == len(list) {
			if t.hasServer(id) {
				return nil, s.configuredServer(t, id, false)
			}
			return nil, proxy.ErrUnknown
		}
		return rest, nil
	})
}

// configuredServerError is the error for a server that an operator cannot add or remove, because the configuration, a file or the
// DNS lists it.
type configuredServerError struct{ reason, nextStep string }

func (e *configuredServerError) Error() string    { return e.reason }
func (e *configuredServerError) NextStep() string { return e.nextStep }

// configuredServer returns the error for a server that the target has from its configuration, its file or the DNS. The error says
// where that entry can be changed.
func (s *operator) configuredServer(t *balanceTarget, id string, add bool) error {
	place, then := s.configuredPlace(t, id)
	e := &configuredServerError{fmt.Sprintf("the server %s of the endpoint %q was not added by an operator: it is configured %s", id, t.name, place),
		"remove the server there" + then + "; until then, drain the server to keep clients off it"}
	if add {
		e.reason = fmt.Sprintf("the server %s is already in the list of the endpoint %q: it is configured %s", id, t.name, place)
		e.nextStep = "change its weight and capacity there" + then
		if strings.HasPrefix(place, "by --") { // a flag sets neither weight nor capacity
			e.nextStep = "restart the balancer without that flag, and add the server with its weight and capacity"
		}
	}
	return e
}

// configuredPlace returns where a target's server is configured, and how a change there takes effect.
func (s *operator) configuredPlace(t *balanceTarget, id string) (place, then string) {
	listed := func(source string) bool {
		return slices.ContainsFunc(t.Servers(source), func(s balance.Spec) bool { return s.ID == id })
	}
	cfg := s.config()
	for i, e := range cfg.Endpoints {
		set, ok := e.Target.Settings.(*config.Balance)
		if !ok || e.Name != t.name {
			continue
		}
		j := slices.IndexFunc(set.To, func(b config.Backend) bool { return string(b.URL) == id })
		switch at := cfg.Pos(endpointPath(i, fmt.Sprintf("target.balance.to[%d].url", j))); {
		case j >= 0 && at.Line > 0:
			return "in " + at.String(), ": the balancer reloads its configuration when the file changes, and on handfast reload"
		case j >= 0 && at.File != "":
			return "by " + at.File, ", and restart the balancer"
		case j < 0 && listed(serversOfFile):
			return "in " + string(set.File), ": the balancer reads the file again when it changes"
		case j < 0 && listed(serversOfDNS):
			return "in the DNS, as " + string(set.DNS.URL), fmt.Sprintf(": the balancer repeats the lookup every %v", set.DNS.Every)
		}
	}
	return "with the balancer", ", and reload its configuration"
}

// refuseChange responds with an error and, in a second line, with its next step.
func refuseChange(w http.ResponseWriter, err error) {
	text := err.Error()
	if step := nextstep.Of(err); step != "" {
		text += "\nnext step: " + step
	}
	badRequest(w, "%s", text)
}

// changeServers changes the servers that operators have added, at all requested targets or, if a target returns an error, at none.
func (s *operator) changeServers(w http.ResponseWriter, r *http.Request, with func(*balanceTarget, string, []balance.Spec) ([]balance.Spec, error)) {
	s.forServer(w, r, func(t *balanceTarget, id string) error {
		_, err := with(t, id, t.Servers(serversOfOperator))
		return err
	}, func(t *balanceTarget, id string) error {
		return t.change(func(list []balance.Spec) ([]balance.Spec, error) { return with(t, id, list) })
	})
}

func removeSpec(list []balance.Spec, id string) []balance.Spec {
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

// hasServer reports whether the target has a server with this ID.
func (t *balanceTarget) hasServer(id string) bool {
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
