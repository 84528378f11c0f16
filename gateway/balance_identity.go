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

// identities say to servers who a client of a balancer is. They are not changed.
type identities struct {
	user     string       // the field with the subject; "" for none
	field    string       // the field with the token
	signer   *auth.Signer // nil if there is no token
	audience string       // of tokens; "" for the server
}

// newIdentities returns what the configuration says. Its errors hold nothing of a key.
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

// put has servers learn who sends a request.
func (n *identities) put(p *proxy.Request, id *auth.Identity) {
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
