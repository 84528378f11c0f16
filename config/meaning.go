package config

import (
	"fmt"
	"net/netip"
	"net/url"
	"strings"

	"github.com/handfast/handfast/config/internal/tree"
)

// checker checks a configuration that was decoded.
type checker struct {
	tree *tree.Tree
	c    *Config
}

// checkMeaning performs the checks that tags cannot express.
func (k *checker) checkMeaning() {
	tree.Each(k.c, func(path string, p any) {
		switch x := p.(type) {
		case *[]Listen:
			k.listeners(*x)
		case *Listen:
			k.listen(x, path)
		case *TLS:
			k.tls(x, path)
		case *Admin:
			k.admin(x)
		case *map[string]*Method:
			k.names(*x)
		case *JWT:
			k.jwt(x, path)
		case *APIKey:
			k.apiKeys(x, path)
		case *Cookie:
			k.cookie(x, path)
		case *Ticket:
			k.ticket(x, path)
		case *Certificate:
			k.certificate(path)
		case *Forward:
			k.forward(x, path)
		case *RedisStore:
			if !x.URL.Empty() {
				k.url(x.URL.Reveal(), path+".url", "redis", "rediss", "unix")
			}
		case *RedisEngine:
			k.redisEngine(x, path)
		case *NATSEngine:
			k.nats(x, path)
		case *Logout:
			k.logout(x)
		case *[]Endpoint:
			k.endpoints()
		case *[]App:
			k.apps(*x)
		case *Target:
			k.checkAppOf(x, path)
		case *Webhook:
			k.webhook(x, path)
		case *RPC:
			k.rpc(x, path)
		case *[]Namespace:
			k.namespaces(*x)
		case *Rule:
			k.rule(x, path)
		case *Audit:
			k.audit(x)
		case *Drain:
			k.drain(x)
		}
	})
}

func (k *checker) listeners(all []Listen) {
	if len(all) == 0 {
		k.tree.Wrong("listen", "there is no listener", "at least one address")
	}
	seen := map[Address]bool{}
	for i, l := range all {
		if seen[l.Address] && !strings.HasSuffix(string(l.Address), ":0") {
			k.tree.Wrong(fmt.Sprintf("listen[%d].address", i), "the address is already in the list", "each address once")
		}
		seen[l.Address] = true
	}
}

func (k *checker) audit(a *Audit) {
	if a.To == "file" && a.File == "" {
		k.tree.Wrong("audit.file", "required when audit.to is file", tree.Expected[Path]())
	}
	if a.To != "file" && a.File != "" {
		k.tree.Wrong("audit.to", tree.Quote(a.To)+" does not use audit.file", "file, or no audit.file")
	}
}

func (k *checker) names(methods map[string]*Method) {
	for name := range methods {
		if name == Anonymous || !validName(name) {
			k.tree.Wrong("auth."+name, "not a valid name of a method", "lower-case letters, digits, - and _, and not "+Anonymous)
		}
	}
}

// validName reports whether a name can be used in paths and in environment variables.
func validName(name string) bool {
	return name != "" && len(name) <= 64 && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-_") == ""
}

func (k *checker) listen(l *Listen, path string) {
	if l.Address == "off" {
		k.tree.Wrong(path+".address", `"off" is not an address`, tree.Expected[Address]())
	}
	for i, host := range l.Hosts.List {
		if _, err := netip.ParseAddr(host); err != nil && !hostName.MatchString(host) {
			k.tree.Wrong(fmt.Sprintf("%s.hosts[%d]", path, i), tree.Quote(host)+" is not a host",
				"a name in lower case or an IP address, without a port and brackets, such as ws.example.com")
		}
	}
	secure := l.TLS.Mode != TLSOff
	if l.RedirectHTTPS && secure {
		k.tree.Wrong(path+".redirect_https", "only a listener without TLS can redirect to https", "tls: off on this listener")
	}
	if l.RedirectHTTPS && !secure && !k.anyTLS() {
		k.tree.Wrong(path+".redirect_https", "there is no listener with TLS to redirect to", "false, or a listener with TLS")
	}
	if l.HSTS > 0 && !secure {
		k.tree.Wrong(path+".hsts", "browsers ignore HSTS without TLS", "0s, or TLS on this listener")
	}
}

func (k *checker) anyTLS() bool {
	for i := range k.c.Listen {
		if k.c.Listen[i].TLS.Mode != TLSOff {
			return true
		}
	}
	return false
}

func (k *checker) tls(t *TLS, path string) {
	switch t.Mode {
	case TLSFiles:
		if len(t.Files) == 0 {
			k.tree.Wrong(path+".files", "required with mode files", "a list of cert and key")
		}
	case TLSACME:
		k.acme(&t.ACME, path+".acme")
	}
	if t.Mode != TLSFiles && len(t.Files) > 0 {
		k.tree.Wrong(path+".mode", fmt.Sprintf("%s does not use files", t.Mode), "mode: files, or no files")
	}
	if t.Mode != TLSACME && len(t.ACME.Hosts) > 0 {
		k.tree.Wrong(path+".mode", fmt.Sprintf("%s does not use acme", t.Mode), "mode: acme, or no acme.hosts")
	}
	if t.Mode != TLSDev && len(t.Dev.Hosts) > 0 {
		k.tree.Wrong(path+".mode", fmt.Sprintf("%s does not use dev.hosts", t.Mode), "mode: dev, or no dev.hosts")
	}
	if t.Mode == TLSOff && t.ClientAuth != ClientAuthOff {
		k.tree.Wrong(path+".client_auth", "client certificates require TLS", ClientAuthOff)
	}
	if t.ClientAuth != ClientAuthOff && len(t.ClientCAs) == 0 {
		k.tree.Wrong(path+".client_cas", "required when client_auth is "+t.ClientAuth, "a list of PEM files")
	}
	if t.ClientAuth == ClientAuthOff && len(t.ClientCAs) > 0 {
		k.tree.Wrong(path+".client_auth", "off does not use client_cas", "optional or required")
	}
}

func (k *checker) acme(a *ACME, path string) {
	if len(a.Hosts) == 0 {
		k.tree.Wrong(path+".hosts", "required with mode acme", "a list of host names")
	}
	for i, h := range a.Hosts {
		_, err := netip.ParseAddr(h)
		if err == nil || !strings.Contains(h, ".") && h != "localhost" || strings.ContainsAny(h, "*:/ ") {
			k.tree.Wrong(fmt.Sprintf("%s.hosts[%d]", path, i), tree.Quote(h)+" is not a name that a certificate can be issued for",
				"a host name without a wildcard or port, such as ws.example.com")
		}
	}
	if !a.AcceptTerms {
		k.tree.Wrong(path+".accept_terms", "the authority issues certificates only if you accept its terms of service", "true")
	}
	if (a.EABKeyID == "") != a.EABKey.Empty() {
		k.tree.Wrong(path+".eab_key_id", "eab_key_id and eab_key must be set together", "both, or none")
	}
	if a.Directory != "" {
		k.url(a.Directory, path+".directory", "https")
	}
}

// url checks that a text is a URL with one of the schemes. Problems do not contain the URL, which may contain a password.
func (k *checker) url(text, path string, schemes ...string) *url.URL {
	prefixes := make([]string, len(schemes))
	for i, s := range schemes {
		prefixes[i] = s + "://"
	}
	want := "a URL that begins with " + tree.OneOf(prefixes)
	u, err := url.Parse(text)
	if err != nil || u.Host == "" && u.Scheme != "unix" {
		k.tree.Wrong(path, "not a URL", want)
		return nil
	}
	for _, s := range schemes {
		if u.Scheme == s {
			return u
		}
	}
	k.tree.Wrong(path, fmt.Sprintf("the scheme of the URL is %q", u.Scheme), want)
	return nil
}

func (k *checker) admin(a *Admin) {
	if a.Address.Off() {
		return
	}
	// The default host of the admin listener is loopback.
	if a.Address.Host() != "" && !a.Address.Loopback() && a.Token.Empty() && !k.tree.Failed("admin.token") {
		k.tree.Wrong("admin.address", "other machines may reach this address, and there is no token",
			"a token, as admin.token or in the environment variable HANDFAST_ADMIN_TOKEN, or a loopback address such as 127.0.0.1:9090")
	}
}

func (k *checker) drain(d *Drain) {
	if d.Spread > d.Timeout {
		k.tree.Wrong("drain.spread", fmt.Sprintf("%v is longer than drain.timeout, %v", d.Spread, d.Timeout),
			"a shorter time, so that all connections are closed before the timeout")
	}
}

func (k *checker) logout(l *Logout) {
	if l.Path == "" {
		if len(l.Auth) > 0 {
			k.tree.Wrong("logout.path", "required along with logout.auth", "a path such as /logout")
		}
		return
	}
	k.path(l.Path, "logout.path")
	if len(l.Auth) == 0 {
		k.tree.Wrong("logout.auth", "required: there is no anonymous logout", tree.Expected[AuthRef]())
	}
	k.refs(l.Auth, "logout.auth", false)
	k.rejectAnyOrigin(l.Origins, "logout.origins")
}

// rejectAnyOrigin rejects any as the origins of pages that act with their visitor's credentials.
func (k *checker) rejectAnyOrigin(o Origins, path string) {
	if o.Any {
		k.tree.Wrong(path, "a page of any site could send this request on behalf of its visitor", "a list of web origins")
	}
}
