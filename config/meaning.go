package config

import (
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"strings"

	"github.com/handfast/handfast/config/internal/tree"
)

// checker looks for what is wrong with a configuration that could be read.
type checker struct {
	*tree.Tree
	c *Config
}

// meaning checks what no tag can say.
func (k *checker) meaning() {
	c := k.c
	if len(c.Listen) == 0 {
		k.Wrong("listen", "there is no listener", "at least one address")
	}
	seen := map[Address]int{}
	for i := range c.Listen {
		p := fmt.Sprintf("listen[%d]", i)
		k.listen(&c.Listen[i], p)
		a := c.Listen[i].Address
		if first, ok := seen[a]; ok && !strings.HasSuffix(string(a), ":0") {
			k.Wrong(p+".address", fmt.Sprintf("listen[%d] has the same address", first), "")
		}
		seen[a] = i
	}
	k.admin()
	k.drain()
	if c.Audit.To == "file" && c.Audit.File == "" {
		k.Wrong("audit.file", "required when audit.to is file", tree.Expected[Path]())
	}
	if c.Audit.To != "file" && c.Audit.File != "" {
		k.Wrong("audit.to", tree.Quote(c.Audit.To)+" has no use for audit.file", "file")
	}
	for name := range c.Auth {
		if name == Anonymous || !validName(name) {
			k.Wrong("auth."+name, "a method cannot be called that", "lower-case letters, digits, - and _, and not "+Anonymous)
		}
	}
	for path, m := range c.Methods() {
		k.method(m, path)
	}
	k.logout()
	k.endpoints()
}

// validName reports whether a name can stand in paths and in environment variables.
func validName(name string) bool {
	return name != "" && len(name) <= 64 && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-_") == ""
}

func (k *checker) listen(l *Listen, path string) {
	if l.Address == "off" {
		k.Wrong(path+".address", `"off" is not an address`, l.Address.Expected())
	}
	secure := l.TLS.Mode != TLSOff
	if l.RedirectHTTPS && secure {
		k.Wrong(path+".redirect_https", "this listener has TLS itself", "tls: off beside it")
	}
	if l.RedirectHTTPS && !secure && !k.anyTLS() {
		k.Wrong(path+".redirect_https", "no listener has TLS to redirect to", "false, or a listener with TLS")
	}
	if l.HSTS > 0 && !secure {
		k.Wrong(path+".hsts", "browsers ignore it without TLS", "0s, or TLS on this listener")
	}
	k.tls(&l.TLS, path+".tls")
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
			k.Wrong(path+".files", "required with mode files", "a list of cert and key")
		}
	case TLSACME:
		k.acme(&t.ACME, path+".acme")
	}
	if t.Mode != TLSFiles && len(t.Files) > 0 {
		k.Wrong(path+".mode", fmt.Sprintf("%s has no use for files", t.Mode), "files, or no files beside it")
	}
	if t.Mode != TLSACME && len(t.ACME.Hosts) > 0 {
		k.Wrong(path+".mode", fmt.Sprintf("%s has no use for acme", t.Mode), "acme, or no acme.hosts beside it")
	}
	if t.Mode == TLSOff && t.ClientAuth != ClientAuthOff {
		k.Wrong(path+".client_auth", "there are no client certificates without TLS", ClientAuthOff)
	}
	if t.ClientAuth != ClientAuthOff && len(t.ClientCAs) == 0 {
		k.Wrong(path+".client_cas", "required when client_auth is "+t.ClientAuth, "a list of PEM files")
	}
	if t.ClientAuth == ClientAuthOff && len(t.ClientCAs) > 0 {
		k.Wrong(path+".client_auth", "off has no use for client_cas", "optional or required")
	}
	for i, f := range t.Files {
		k.file(f.Cert, fmt.Sprintf("%s.files[%d].cert", path, i))
		k.file(f.Key, fmt.Sprintf("%s.files[%d].key", path, i))
	}
	for i, f := range t.ClientCAs {
		k.file(f, fmt.Sprintf("%s.client_cas[%d]", path, i))
	}
	k.file(t.TicketFile, path+".ticket_file")
}

func (k *checker) acme(a *ACME, path string) {
	if len(a.Hosts) == 0 {
		k.Wrong(path+".hosts", "required with mode acme", "a list of host names")
	}
	for i, h := range a.Hosts {
		_, err := netip.ParseAddr(h)
		if err == nil || !strings.Contains(h, ".") && h != "localhost" || strings.ContainsAny(h, "*:/ ") {
			k.Wrong(fmt.Sprintf("%s.hosts[%d]", path, i), tree.Quote(h)+" is not a name that a certificate can be issued for",
				"a host name without wildcard and port, such as ws.example.com")
		}
	}
	if !a.AcceptTerms {
		k.Wrong(path+".accept_terms", "the authority gives no certificates unless you accept its terms of service", "true")
	}
	if (a.EABKeyID == "") != a.EABKey.Empty() {
		k.Wrong(path+".eab_key_id", "eab_key_id and eab_key belong together", "both, or none")
	}
	if a.Directory != "" {
		k.url(a.Directory, path+".directory", "https")
	}
	k.file(a.CARoot, path+".ca_root")
}

// file checks that a file can be read.
func (k *checker) file(p Path, path string) {
	if p == "" {
		return
	}
	info, err := os.Stat(string(p))
	switch {
	case err != nil:
		k.Wrong(path, tree.Quote(string(p))+" cannot be read: "+tree.Why(err), "a file")
	case info.IsDir():
		k.Wrong(path, tree.Quote(string(p))+" is a directory", "a file")
	}
}

// url checks that a text is a URL with one of the schemes. It may hold a password: it is not shown.
func (k *checker) url(text, path string, schemes ...string) *url.URL {
	want := "a URL that begins with " + tree.OneOf(schemes) + "://"
	u, err := url.Parse(text)
	if err != nil || u.Host == "" && u.Scheme != "unix" {
		k.Wrong(path, "not a URL", want)
		return nil
	}
	for _, s := range schemes {
		if u.Scheme == s {
			return u
		}
	}
	k.Wrong(path, fmt.Sprintf("its scheme is %q", u.Scheme), want)
	return nil
}

func (k *checker) admin() {
	a := k.c.Admin
	if a.Address.Off() {
		return
	}
	host := a.Address.Host()
	ip, err := netip.ParseAddr(host)
	loopback := host == "" || host == "localhost" || err == nil && ip.IsLoopback()
	if !loopback && a.Token.Empty() {
		k.Wrong("admin.token", fmt.Sprintf("required, since other machines may reach %s", a.Address),
			"a secret, or a loopback address such as 127.0.0.1:9090")
	}
}

func (k *checker) drain() {
	if d := k.c.Drain; d.Spread > d.Timeout {
		k.Wrong("drain.spread", fmt.Sprintf("%v is longer than drain.timeout, %v", d.Spread, d.Timeout),
			"a time within which all are told before the rest is cut")
	}
	if r := k.c.Store.Redis; r != nil && !r.URL.Empty() {
		k.url(r.URL.Reveal(), "store.redis.url", "redis", "rediss", "unix")
	}
}

func (k *checker) logout() {
	l := k.c.Logout
	if l.Path == "" {
		if len(l.Auth) > 0 {
			k.Wrong("logout.path", "required along with logout.auth", "a path such as /logout")
		}
		return
	}
	k.path(l.Path, "logout.path")
	if len(l.Auth) == 0 {
		k.Wrong("logout.auth", "required: there is no anonymous logout", tree.Expected[AuthRef]())
	}
	k.refs(l.Auth, "logout.auth", false)
	k.notAny(l.Origins, "logout.origins")
}

// notAny refuses any for what a page does with its visitor's credentials.
func (k *checker) notAny(o Origins, path string) {
	if o.Any {
		k.Wrong(path, "any page could do this in the name of its visitor", "a list of web origins")
	}
}
