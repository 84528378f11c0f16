package cli

import (
	"strings"

	"github.com/handfast/handfast/auth"
	"github.com/handfast/handfast/config"
)

// checkMethods reads the files with keys and passwords of the methods.
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
