package gateway

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/handfast/handfast/auth"
	"github.com/handfast/handfast/config"
	"github.com/handfast/handfast/internal/limit"
	"github.com/handfast/handfast/observe"
)

// methods are the authentication methods of a site. Each is created once.
type methods struct {
	cfg   *config.Config
	store auth.Store
	fault func(error)        // called with errors of the services and files that a method depends on
	byKey map[string]*method // by path in the configuration
	old   *methods           // the previous methods, of which unchanged ones are reused; may be nil
}

// method is one authentication method.
type method struct {
	cfg        *config.Method
	auth       auth.Authenticator // nil for tickets, which are bound to an endpoint
	tickets    *auth.Tickets
	mayContain func(*http.Request) bool // whether a request may contain a credential for the method; nil if the method does not block
}

// newMethods creates the named methods of cfg. Methods that are defined in an endpoint are created when the endpoint needs them.
func newMethods(cfg *config.Config, store auth.Store, fault func(error), old *site) (*methods, error) {
	m := &methods{cfg: cfg, store: store, fault: fault, byKey: map[string]*method{}}
	if old != nil {
		m.old = old.methods
	}
	// Methods that no endpoint uses must be valid, too.
	for _, name := range slices.Sorted(maps.Keys(cfg.Auth)) {
		if _, err := m.get("auth."+name, cfg.Auth[name]); err != nil {
			return m, err
		}
	}
	return m, nil
}

// get returns the method at a path of the configuration.
func (m *methods) get(path string, cfg *config.Method) (*method, error) {
	if have := m.byKey[path]; have != nil {
		return have, nil
	}
	if m.old != nil {
		if have := m.old.byKey[path]; have != nil && reflect.DeepEqual(have.cfg, cfg) {
			m.byKey[path] = have
			return have, nil
		}
	}
	made, err := m.newMethod(path, cfg)
	if err != nil {
		if _, ok := errors.AsType[*config.Problem](err); !ok {
			err = m.cfg.Problem(path, strings.TrimPrefix(err.Error(), "auth: "), "")
		}
		return nil, err
	}
	m.byKey[path] = made
	return made, nil
}

// authChain is the chain of methods of one endpoint or page.
type authChain struct {
	auth.Authenticator
	store     auth.Store     // the store, which contains the revocations
	anonymous bool           // clients without a credential are admitted
	calls     []*limit.Calls // the limits on the methods of the chain
}

// chain returns the chain of the methods that refs name, in that order, for an endpoint.
func (m *methods) chain(path, endpoint string, refs []config.AuthRef) (*authChain, error) {
	var list []auth.Authenticator
	chain := &authChain{}
	most := m.cfg.Limits.AuthCalls
	for i, ref := range refs {
		if ref.Method == nil && ref.Name == config.Anonymous {
			chain.anonymous = true
			continue
		}
		at, cfg := fmt.Sprintf("%s[%d]", path, i), ref.Method
		if cfg == nil {
			if cfg = m.cfg.Auth[ref.Name]; cfg == nil {
				return nil, m.cfg.Problem(at, fmt.Sprintf("there is no method called %q", ref.Name), "a name from auth")
			}
			at = "auth." + ref.Name
		}
		one, err := m.get(at, cfg)
		if err != nil {
			return nil, err
		}
		a := one.auth
		if one.tickets != nil {
			a = one.tickets.For(endpoint)
		}
		a, calls := limitMethod(one, a, most)
		if calls != nil {
			chain.calls = append(chain.calls, calls)
		}
		list = append(list, a)
	}
	known := len(list) > 0
	if chain.anonymous {
		list = append(list, auth.Anonymous())
	}
	chain.Authenticator, chain.store = auth.Chain(list...), m.store
	if m.cfg.Store.Redis != nil && most > 0 {
		chain.store = &boundedStore{Store: m.store, calls: limit.NewCalls(most, authQueue*most, authWait)}
	}
	if known {
		chain.Authenticator = auth.RefuseRevoked(chain.Authenticator, chain.store)
	}
	return chain, nil
}

// close closes the methods that next does not use. next may be nil.
func (m *methods) close(next *site) {
	for _, one := range m.byKey {
		if next != nil && next.methods != nil && next.methods.contains(one) {
			continue
		}
		if c, ok := one.auth.(interface{ Close() error }); ok {
			_ = c.Close() // there is nothing to flush
		}
	}
}

func (m *methods) contains(one *method) bool {
	for _, have := range m.byKey {
		if have == one {
			return true
		}
	}
	return false
}

// mountMethods mounts the pages that issue tickets and end sessions.
func (b *builder) mountMethods(n *site) error {
	n.methods.old = nil
	for _, path := range slices.Sorted(maps.Keys(n.methods.byKey)) {
		m := n.methods.byKey[path]
		if m.tickets == nil {
			continue
		}
		cfg := m.cfg.Ticket
		a, err := n.methods.chain(path+".ticket.auth", "", cfg.Auth)
		if err != nil {
			return err
		}
		h := &auth.TicketEndpoint{Tickets: m.tickets, Authenticator: identityRecorder{a}, Origins: cfg.Origins.Strings(), OnError: b.rec.callFailed}
		if err := handle(n.pages, cfg.Path, b.adm.call(n, observe.AuditTicket, h)); err != nil {
			return n.cfg.Problem(path+".ticket.path", err.Error(), "an unused path")
		}
	}
	if n.cfg.Logout.Path == "" {
		return nil
	}
	a, err := n.methods.chain("logout.auth", "", n.cfg.Logout.Auth)
	if err != nil {
		return err
	}
	h := &auth.Logout{Authenticator: identityRecorder{a}, Store: b.store, Origins: n.cfg.Logout.Origins.Strings(), OnError: b.rec.callFailed}
	if err := handle(n.pages, n.cfg.Logout.Path, b.adm.call(n, observe.AuditLogout, h)); err != nil {
		return n.cfg.Problem("logout.path", err.Error(), "an unused path")
	}
	return nil
}
