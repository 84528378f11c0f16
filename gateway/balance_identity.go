package gateway

import (
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/handfast/handfast/auth"
	"github.com/handfast/handfast/balance/proxy"
	"github.com/handfast/handfast/config"
)

// identities adds the identity of a balancer's client to the requests that servers receive. It is immutable.
type identities struct {
	user     string       // the header field for the subject; "" means none
	field    string       // the header field for the token
	signer   *auth.Signer // nil means no token
	audience string       // the audience of tokens; "" means the ID of the server
}

// newIdentities returns the identities for the configuration. Its errors do not contain any part of a key.
func newIdentities(set *config.Rewrite) (*identities, error) {
	n := &identities{user: set.UserHeader, field: set.Identity.Header, audience: set.Identity.Audience}
	if n.field == "" {
		return n, nil
	}
	o := auth.SignerOptions{
		Secret: []byte(set.Identity.Secret.Reveal()), Issuer: set.Identity.Issuer, TTL: time.Duration(set.Identity.TTL), Claims: set.Identity.Claims,
	}
	var err error
	if set.Identity.KeyFile != "" {
		if o.PrivateKey, err = os.ReadFile(string(set.Identity.KeyFile)); err != nil {
			return nil, err
		}
	}
	n.signer, err = auth.NewSigner(o)
	return n, err
}

// setHeader adds the identity of the client to a request.
func (n *identities) setHeader(p *proxy.Request, id *auth.Identity) {
	p.User = id.Subject
	if n.user != "" {
		p.Identity = http.Header{}
		p.Identity.Set(n.user, p.User)
	}
	if n.signer == nil {
		return
	}
	p.Sign = func(server string) (http.Header, error) {
		audience := n.audience
		if audience == "" {
			audience = server
		}
		token, err := n.signer.Sign(id, audience)
		if err != nil {
			return nil, err
		}
		if strings.EqualFold(n.field, "Authorization") {
			token = "Bearer " + token // RFC 6750 §2.1
		}
		signed := http.Header{}
		signed.Set(n.field, token)
		return signed, nil
	}
}
