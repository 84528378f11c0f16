package gateway

import (
	"slices"
	"sync"

	"github.com/handfast/handfast/config"
	"github.com/handfast/handfast/internal/statedir"
	"github.com/handfast/handfast/observe"
)

// devSecretFile is the file in the state directory that contains the secret of the application [config.DevApp].
const devSecretFile = "app-dev.secret"

// devSecret is the secret of the application [config.DevApp] if the configuration has none. It does not change while the server is
// running.
type devSecret struct {
	once sync.Once
	text config.Secret
}

// fill returns cfg with the secret set. A secret that cannot be stored is valid until the server ends.
func (d *devSecret) fill(cfg *config.Config, rec *recorder) *config.Config {
	i := slices.IndexFunc(cfg.Apps, isDev)
	if i < 0 {
		return cfg
	}
	d.once.Do(func() {
		text, err := statedir.Secret(devSecretFile)
		if err != nil {
			text = statedir.NewSecret()
			rec.log.Warn(observe.EventSecret, observe.KeyError, err, observe.KeyHint, "the next start generates another secret")
		}
		d.text = config.NewSecret(text)
	})
	filled := *cfg
	filled.Apps = slices.Clone(cfg.Apps)
	filled.Apps[i].Secret = d.text
	return &filled
}

func isDev(a config.App) bool { return a.ID == config.DevApp && a.Secret.Empty() }

// App is an application without its secret.
type App struct {
	ID  string // as in the setting apps of the configuration
	Key string // the key with which clients connect
}

// Apps returns the applications of the current configuration, in its order.
func (s *Server) Apps() []App {
	var list []App
	for _, a := range s.site.Load().cfg.Apps {
		list = append(list, App{a.ID, a.Key})
	}
	return list
}

// DevApp returns the application whose secret the server has generated; nil if there is none.
func (s *Server) DevApp() *config.App {
	for _, a := range s.site.Load().cfg.Apps {
		if a.ID == config.DevApp && a.Secret == s.dev.text {
			return &a
		}
	}
	return nil
}
