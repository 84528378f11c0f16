package gateway

import (
	"io"
	"log/slog"
	"time"

	"github.com/handfast/handfast/auth"
	"github.com/handfast/handfast/auth/redisstore"
	"github.com/handfast/handfast/config"
	"github.com/handfast/handfast/observe"
)

// store is the store of tickets and revocations. It stays the same while the server is running.
type store struct{ auth.Store }

func (s *store) open(cfg config.Store, log *slog.Logger) error {
	if cfg.Redis == nil {
		s.Store = auth.NewMemoryStore(auth.MemoryStoreOptions{})
		return nil
	}
	r, err := redisstore.New(redisstore.Options{
		URL: cfg.Redis.URL.Reveal(), Prefix: cfg.Redis.Prefix, Timeout: time.Duration(cfg.Redis.Timeout),
		OnError: func(err error) { log.Warn(observe.EventAuthFault, observe.KeyError, err) },
	})
	if err != nil {
		return err
	}
	s.Store = r
	return nil
}

func (s *store) close() {
	switch c := s.Store.(type) {
	case io.Closer:
		_ = c.Close() // there is nothing to flush
	case interface{ Close() }:
		c.Close()
	}
}
