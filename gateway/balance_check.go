package gateway

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strings"

	"github.com/handfast/handfast/config"
	wshandshake "github.com/handfast/handfast/websocket/handshake"
)

// CheckBalance returns the problems of the balancers of a configuration that can be found without their servers: a file with invalid
// content, or a header field that is reserved for the handshake. Files that cannot be read are reported by config.Load instead.
func CheckBalance(cfg *config.Config) (problems []*config.Problem) {
	for i, e := range cfg.Endpoints {
		set, ok := e.Target.Settings.(*config.Balance)
		if !ok {
			continue
		}
		wrong := func(key string, err error, want string) {
			if _, unread := errors.AsType[*fs.PathError](err); err != nil && !unread {
				problems = append(problems, cfg.Problem(endpointPath(i, "target.balance."+key), err.Error(), want))
			}
		}
		_, err := servers(set)
		wrong("file", err, "one server per line, such as 127.0.0.1:9001 weight=2 capacity=1000")
		if set.TLS.CA != "" {
			_, err := authorities(string(set.TLS.CA))
			wrong("tls.ca", err, "a PEM file with certificates")
		}
		if set.TLS.Cert != "" && set.TLS.Key != "" {
			_, err := backendTLS(config.BackendTLS{Cert: set.TLS.Cert, Key: set.TLS.Key})
			wrong("tls.cert", err, "a PEM file with a certificate, and its private key in the setting key")
		}
		if id := &set.Request.Identity; id.Secret.Empty() && id.KeyFile != "" {
			_, err := newIdentities(&set.Request)
			wrong("request.identity.key_file", err, "a private key in PEM: Ed25519, ECDSA with P-256, or RSA")
		}
		wrong("request.user_header", fieldTaken(set.Request.UserHeader), "another field, such as X-User")
		wrong("request.identity.header", fieldTaken(set.Request.Identity.Header), "another field, such as X-Handfast-Identity")
		for name := range set.Request.Header {
			wrong("request.header", fieldTaken(name), "other fields; request.host sets the Host that servers get")
		}
	}
	return problems
}

// fieldTaken returns an error if requests to servers already use a header field with this name, in any case.
func fieldTaken(name string) error {
	if name = http.CanonicalHeaderKey(name); name == "Host" || wshandshake.Reserved(strings.ReplaceAll(name, "_", "-")) {
		return fmt.Errorf("the balancer sets %s itself", name)
	}
	return nil
}
