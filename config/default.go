package config

// Default returns the configuration of a server that nothing was said to: TLS with a development certificate on
// localhost:8443, the page at /, and an echo for everybody at /echo.
func Default() *Config {
	c := base()
	c.derive()
	return c
}

// base is Default without what follows from the rest, which others may still change.
func base() *Config {
	c := newDefault[Config]()
	l := newDefault[Listen]()
	l.Address = "localhost:8443"
	e := newDefault[Endpoint]()
	e.Name, e.Path, e.MaxMessage = "echo", "/echo", 16<<20
	e.Target = Target{Echo: &Echo{}}
	// Whoever sends is who gets it back, so that there is no secret to guess.
	e.Compression.Enabled, e.Compression.Takeover = true, true
	e.Auth = []AuthRef{{Name: Anonymous}}
	c.Listen, c.Endpoints = []Listen{l}, []Endpoint{e}
	return &c
}

// derive fills in what follows from the rest.
func (c *Config) derive() {
	for i := range c.Listen {
		c.Listen[i].TLS.derive()
	}
	for i := range c.Endpoints {
		if e := &c.Endpoints[i]; e.Name == "" {
			e.Name = e.Path
		}
	}
	if c.Store == (Store{}) {
		c.Store.Memory = &MemoryStore{}
	}
	for _, m := range c.Methods() {
		m.derive()
	}
}

func (t *TLS) derive() {
	if t.Mode == "" {
		switch {
		case len(t.Files) > 0:
			t.Mode = TLSFiles
		case len(t.ACME.Hosts) > 0:
			t.Mode = TLSACME
		default:
			t.Mode = TLSDev
		}
	}
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
