package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/handfast/handfast/auth"
	"github.com/handfast/handfast/certs"
	"github.com/handfast/handfast/config"
)

// checkTLS reads the certificates and keys of the listeners that have theirs from files.
func checkTLS(c *config.Config) []*config.Problem {
	var problems []*config.Problem
	for i, l := range c.Listen {
		if l.TLS.Mode != config.TLSFiles || len(l.TLS.Files) == 0 {
			continue
		}
		path := fmt.Sprintf("listen[%d].tls", i)
		opts := certs.Options{ClientAuth: certs.ClientAuth(l.TLS.ClientAuth), TicketFile: string(l.TLS.TicketFile)}
		where := map[string]string{opts.TicketFile: path + ".ticket_file"}
		for j, f := range l.TLS.ClientCAs {
			opts.ClientCAs = append(opts.ClientCAs, string(f))
			where[string(f)] = fmt.Sprintf("%s.client_cas[%d]", path, j)
		}
		for j, f := range l.TLS.Files {
			opts.Files = append(opts.Files, certs.Pair{Cert: string(f.Cert), Key: string(f.Key)})
			where[string(f.Key)] = fmt.Sprintf("%s.files[%d].key", path, j)
			where[string(f.Cert)] = fmt.Sprintf("%s.files[%d].cert", path, j)
		}
		provider, err := certs.Open(opts)
		if err == nil {
			provider.Close()
			continue
		}
		var fault *certs.Error
		if errors.As(err, &fault) && where[fault.Path] != "" {
			path = where[fault.Path]
		}
		problem := c.Problem(path, err.Error(), "")
		problem.Hint = nextStep(err)
		problems = append(problems, problem)
	}
	return problems
}

// checkMethods reads the keys and password files of the methods.
func checkMethods(c *config.Config) []*config.Problem {
	var problems []*config.Problem
	check := func(path string, err error) {
		if err != nil {
			problems = append(problems, c.Problem(path, strings.TrimPrefix(err.Error(), "auth: "), ""))
		}
	}
	for path, m := range c.Methods() {
		jwt := m.JWT
		if m.Cookie != nil && m.Cookie.JWT != nil {
			jwt, path = m.Cookie.JWT, path+".cookie"
		}
		if jwt != nil && jwt.PublicKey != "" {
			_, err := auth.Keys([]byte(jwt.PublicKey))
			check(path+".jwt.public_key", err)
		}
		if jwt != nil && jwt.PublicKeyFile != "" {
			_, err := auth.KeyFile(string(jwt.PublicKeyFile))
			check(path+".jwt.public_key_file", err)
		}
		if m.Basic != nil && m.Basic.File != "" {
			_, err := auth.NewBasic(auth.BasicOptions{File: string(m.Basic.File)})
			check(path+".basic.file", err)
		}
		if m.APIKey != nil && m.APIKey.File != "" {
			_, err := auth.NewAPIKeys(auth.APIKeyOptions{File: string(m.APIKey.File)})
			check(path+".apikey.file", err)
		}
	}
	return problems
}
