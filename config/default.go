package config

import (
	"fmt"
	"time"

	"github.com/handfast/handfast/config/internal/tree"
)

// Default returns the configuration of a server without any settings: TLS with a development certificate on localhost:8443, the
// page at /, and, for all clients, an echo at /echo, channels at /channels, streams at /streams/, /app/{key} for Pusher-compatible
// clients, and the protocol of Centrifugo at /connection/websocket.
func Default() *Config {
	c := openToAll()
	c.derive()
	return c
}

// base returns the configuration to which a file is applied. It has no endpoints, and no derived defaults.
func base() *Config {
	c := &Config{}
	tree.SetDefaults(c)
	var l Listen
	tree.SetDefaults(&l)
	l.Address = "localhost:8443"
	c.Listen = []Listen{l}
	return c
}

// openToAll returns the base of a server without a file: an echo and channels for all clients, and the page for trying them. A server with
// a file begins with base instead, so that a truncated file opens nothing.
func openToAll() *Config {
	c := base()
	var e Endpoint
	tree.SetDefaults(&e)
	e.Name, e.Path, e.MaxMessage = "echo", "/echo", 16<<20
	e.Target = Target{Kind: "echo", Settings: &Echo{}}
	// An echo returns a message only to its sender, so compression cannot reveal another client's data.
	e.Compression.Enabled, e.Compression.Takeover = true, true
	e.Auth = []AuthRef{{Name: Anonymous}}
	var ch Endpoint
	tree.SetDefaults(&ch)
	ch.Name, ch.Path = "channels", "/channels"
	set := &Channels{}
	tree.SetDefaults(set)
	c.Apps = []App{{ID: DevApp}}
	ch.Target = Target{Kind: "channels", Settings: set}
	ch.Auth, ch.Rules = []AuthRef{{Name: Anonymous}}, []Rule{{Do: "allow"}}
	var p Endpoint
	tree.SetDefaults(&p)
	p.Name, p.Path = "pusher", PusherPath
	push := &Pusher{}
	tree.SetDefaults(push)
	push.ClientEvents, push.Watchlists = true, true
	p.Target = Target{Kind: "pusher", Settings: push}
	p.Auth, p.Rules = []AuthRef{{Name: Anonymous}}, []Rule{{Do: "allow"}}
	var cf Endpoint
	tree.SetDefaults(&cf)
	cf.Name, cf.Path = "centrifugo", "/connection/websocket"
	open := &Centrifugo{}
	tree.SetDefaults(open)
	open.Anonymous = true
	cf.Target = Target{Kind: "centrifugo", Settings: open}
	cf.Auth, cf.Rules = ch.Auth, ch.Rules
	var all Namespace
	tree.SetDefaults(&all)
	all.Presence = true
	c.Hub.Namespaces = []Namespace{all}
	var st Endpoint
	tree.SetDefaults(&st)
	st.Name, st.Path, st.Auth, st.Rules = "streams", "/streams/", ch.Auth, ch.Rules
	plain := &Streams{}
	tree.SetDefaults(plain)
	st.Target = Target{Kind: "streams", Settings: plain}
	c.Endpoints, c.Console = []Endpoint{e, ch, st, p, cf}, true
	return c
}

// derive fills in defaults that depend on other values.
func (c *Config) derive() {
	for i := range c.Listen {
		c.Listen[i].TLS.Mode = c.Listen[i].tlsMode()
		c.Listen[i].TLS.derive()
	}
	for i := range c.Endpoints {
		if e := &c.Endpoints[i]; e.Name == "" {
			e.Name = e.Path
		}
	}
	c.deriveApps()
	c.Hub.derive()
	if c.Store == (Store{}) {
		c.Store.Memory = &MemoryStore{}
	}
	for _, m := range c.Methods() {
		m.derive()
	}
	c.adjustDefaults()
}

// adjustDefaults changes defaults that conflict with given values.
func (c *Config) adjustDefaults() {
	given := c.tree().Given
	switch d := &c.Drain; {
	case d.Spread <= d.Timeout:
	case !given("drain.spread"):
		d.Spread = d.Timeout / 2
	case !given("drain.timeout"):
		d.Timeout = min(d.Spread+Duration(5*time.Second), Duration(time.Hour))
	}
	if c.Audit.File != "" && !given("audit.to") {
		c.Audit.To = "file"
	}
	for i := range c.Endpoints {
		e, path := &c.Endpoints[i], fmt.Sprintf("endpoints[%d].", i)
		if e.Path == "/" && !given("console") {
			c.Console = false // overrides the default of a server without a file, which is true
		}
		if most := e.Limits.BytesPerSecond * sendingSeconds; most > 0 && most < e.MaxMessage && !given(path+"max_message") {
			e.MaxMessage = most
		}
		if b, ok := e.Target.Settings.(*Balance); ok && given(path+"target.balance.key") && !given(path+"target.balance.policy") {
			b.Policy = "hash"
		}
	}
}

// tlsMode returns the mode of a listener's TLS. If no mode was given, the mode depends on other settings.
func (l *Listen) tlsMode() TLSMode {
	switch {
	case l.TLS.Mode != "":
		return l.TLS.Mode
	case len(l.TLS.Files) > 0:
		return TLSFiles
	case len(l.TLS.ACME.Hosts) > 0:
		return TLSACME
	case l.RedirectHTTPS:
		return TLSOff
	}
	return TLSDev
}

// Dev reports whether the listener has a development certificate.
func (l *Listen) Dev() bool { return l.tlsMode() == TLSDev }

func (t *TLS) derive() {
	if t.ClientAuth == "" {
		t.ClientAuth = ClientAuthOff
		if len(t.ClientCAs) > 0 {
			t.ClientAuth = ClientAuthOptional
		}
	}
}

func (m *Method) derive() {
	j := m.JWT
	if m.Cookie != nil && m.Cookie.JWT != nil {
		j = m.Cookie.JWT
	}
	if j == nil || len(j.Algorithms) > 0 {
		return
	}
	j.Algorithms = []string{"RS256", "ES256", "EdDSA"}
	if !j.Secret.Empty() {
		j.Algorithms = []string{"HS256"}
	}
}
