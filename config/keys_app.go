package config

import (
	"fmt"
	"maps"
	"slices"

	"github.com/handfast/handfast/config/internal/tree"
)

// DevApp is both the ID and the key of the default application of a server without a file.
const DevApp = "dev"

// App is an application: a set of channels, with the credentials of the servers that may publish in them and sign tokens for users.
type App struct {
	// The name in paths, such as /apps/{id}/events: letters, digits, -, _ and .
	ID string `yaml:"id" id:"true" required:"true" example:"shop"`

	// The public key with which clients connect. Empty means the id.
	Key string `yaml:"key" example:"278d425bdf160c739803"`

	// The secret with which servers sign requests and tokens. Required, except for the application "dev", for which the first
	// start generates a secret and stores it in the state directory of the user, readable by the owner only.
	Secret Secret `yaml:"secret"`
}

// apps checks that the IDs and keys of applications are unique, and that each application has a secret.
func (k *checker) apps(all []App) {
	ids, keys := map[string]bool{}, map[string]bool{}
	for i, a := range all {
		p := fmt.Sprintf("apps[%d]", i)
		for _, name := range []struct {
			key, value string
			seen       map[string]bool
		}{{"id", a.ID, ids}, {"key", a.Key, keys}} {
			if name.value == "" || k.tree.Failed(p+".id") {
				continue
			}
			if !validSegment(name.value) {
				k.tree.Wrong(p+"."+name.key, tree.Quote(name.value)+" cannot be used in a path", "letters, digits, -, _ and ., 64 at most")
			} else if name.seen[name.value] {
				k.tree.Wrong(p+"."+name.key, fmt.Sprintf("another application has the %s %s", name.key, tree.Quote(name.value)), "a unique "+name.key)
			}
			name.seen[name.value] = true
		}
		if a.Secret.Empty() && a.ID != DevApp {
			k.tree.Wrong(p+".secret", "required", tree.Expected[Secret]())
		}
	}
}

// validSegment reports whether a name can be used unchanged as a segment of a path.
func validSegment(name string) bool {
	if len(name) > 64 || name == "." || name == ".." {
		return false
	}
	for _, c := range []byte(name) {
		if c != '-' && c != '_' && c != '.' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return name != ""
}

// appReferrer is implemented by the settings of targets for one application. app returns a pointer to the application's ID; "" means the first
// application.
type appReferrer interface{ app() *string }

// checkAppOf checks that the application of a target exists.
func (k *checker) checkAppOf(t *Target, path string) {
	one, ok := t.Settings.(appReferrer)
	if !ok {
		return
	}
	k.checkAppExists(*one.app(), tree.Join(tree.Join(path, t.Kind), "app"))
}

// checkAppExists checks that an application with this ID exists.
func (k *checker) checkAppExists(id, path string) {
	known := map[string]bool{}
	for _, a := range k.c.Apps {
		known[a.ID] = true
	}
	switch {
	case known[id] || k.tree.Failed("apps"):
	case len(known) == 0:
		k.tree.Wrong(path, "there are no applications", "apps, with at least one")
	default:
		k.tree.Unknown(path, tree.Quote(id)+" is not an application under apps", id, slices.Sorted(maps.Keys(known)))
	}
}

// deriveApps sets the default keys of applications, and the default applications of targets and webhooks.
func (c *Config) deriveApps() {
	for i := range c.Apps {
		if a := &c.Apps[i]; a.Key == "" {
			a.Key = a.ID
		}
	}
	for i := range c.Endpoints {
		if one, ok := c.Endpoints[i].Target.Settings.(appReferrer); ok && *one.app() == "" && len(c.Apps) > 0 {
			*one.app() = c.Apps[0].ID
		}
	}
	for i := range c.Webhooks {
		if w := &c.Webhooks[i]; w.App == "" && len(c.Apps) > 0 {
			w.App = c.Apps[0].ID
		}
	}
}
