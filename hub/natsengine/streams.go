package natsengine

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/handfast/handfast/hub"
)

// configError is an error that retrying does not resolve.
type configError struct{ error }

func (e *configError) Unwrap() error { return e.error }

const (
	replicas     = 3
	apiWait      = 2 * time.Second // the timeout for one reply; if two nodes create a stream concurrently, one may get no reply
	replicasWait = 5 * time.Second // the timeout for enough servers, before a single replica is used
	upgradeEvery = 5 * time.Second
)

// The error codes of JetStream when there are not enough servers for the replicas, or no JetStream.
const (
	codeNoPeers       = 10005
	codeNoReplicas    = 10074
	codeNoResources   = 10023
	codeNoJetStream   = 10076
	codeNoJetStream39 = 10039 // JetStream is not enabled for the account
)

func (o *Options) streams() []jetstream.StreamConfig {
	p := o.Prefix
	return []jetstream.StreamConfig{{
		Name: p + "_LOG", Subjects: []string{p + ".p.>"}, Description: "publications of channels",
		// One more than the limit, because a client's position may be that of the publication before the oldest.
		MaxMsgsPerSubject: int64(o.MaxHistory) + 1,
		MaxBytes:          max(o.MaxBytes, 0),
		Duplicates:        hub.Idempotency,
		AllowDirect:       true, AllowMsgTTL: true,
		RePublish: &jetstream.RePublish{Source: p + ".p.>", Destination: p + ".l.>"},
	}, {
		Name: p + "_STATE", Subjects: []string{p + ".s.>"}, Description: "members, leases, keys and positions",
		MaxMsgsPerSubject: 1,
		AllowDirect:       true, AllowMsgTTL: true,
		RePublish: &jetstream.RePublish{Source: p + ".s.w.>", Destination: p + ".v.>"},
	}}
}

// ensure creates the streams if they are missing, and returns a store for them.
func (e *Engine) ensure(ctx context.Context, m *mux) (*store, string, error) {
	js, err := jetstream.New(m.nc, jetstream.WithDefaultTimeout(apiWait))
	if err != nil {
		return nil, "", &configError{err}
	}
	s := &store{mux: m}
	var epoch string
	for i, c := range e.opts.streams() {
		info, err := e.opts.ensureStream(ctx, js, c)
		if err != nil {
			return nil, "", err
		}
		if i == 0 {
			s.log, epoch = c.Name, strconv.FormatInt(info.Created.UnixNano(), 36)
		} else {
			s.state = c.Name
		}
		s.copied = s.copied || info.Config.Replicas > 1
	}
	s.leader = s.copied || m.nc.ConnectedClusterName() != "" // in a cluster, another node may add replicas at any time
	return s, epoch, nil
}

func (o *Options) ensureStream(ctx context.Context, js jetstream.JetStream, c jetstream.StreamConfig) (*jetstream.StreamInfo, error) {
	if st, err := js.Stream(ctx, c.Name); err == nil {
		info := st.CachedInfo()
		have := info.Config
		if have.MaxMsgsPerSubject >= c.MaxMsgsPerSubject && have.Duplicates >= c.Duplicates && have.MaxBytes == limitOf(c.MaxBytes) {
			return info, nil
		}
		have.MaxMsgsPerSubject, have.Duplicates = max(have.MaxMsgsPerSubject, c.MaxMsgsPerSubject), max(have.Duplicates, c.Duplicates)
		have.MaxBytes = c.MaxBytes
		if st, err = js.UpdateStream(ctx, have); err != nil {
			return nil, fmt.Errorf("natsengine: changing the stream %s: %w", c.Name, err)
		}
		return st.CachedInfo(), nil
	} else if !errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, markPermanent(fmt.Errorf("natsengine: looking up the stream %s: %w", c.Name, err))
	}
	c.Replicas = o.Replicas
	if c.Replicas == 0 {
		c.Replicas = replicas
	}
	for began := time.Now(); ; {
		st, err := js.CreateStream(ctx, c)
		if err == nil {
			return st.CachedInfo(), nil
		}
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) { // another node has created the stream
			if st, err := js.Stream(ctx, c.Name); err == nil {
				return st.CachedInfo(), nil
			}
		}
		few, alone := isTooFewServers(err)
		switch {
		case !few && !alone || o.Replicas > 1:
			return nil, markPermanent(fmt.Errorf("natsengine: creating the stream %s: %w", c.Name, err))
		case alone || time.Since(began) > replicasWait:
			c.Replicas = 1
		}
		if !sleep(ctx, reconnectPause) {
			return nil, ctx.Err()
		}
	}
}

// limitOf returns a limit in the form in which the server reports it.
func limitOf(n int64) int64 {
	if n == 0 {
		return -1
	}
	return n
}

// isTooFewServers reports whether there are too few servers for the replicas, and whether this is the only server, so that there
// will never be enough.
func isTooFewServers(err error) (few, alone bool) {
	var api *jetstream.APIError
	if !errors.As(err, &api) {
		return false, false
	}
	return api.ErrorCode == codeNoPeers || api.ErrorCode == codeNoResources, api.ErrorCode == codeNoReplicas
}

// markPermanent marks the errors that retrying does not resolve.
func markPermanent(err error) error {
	var api *jetstream.APIError
	if errors.As(err, &api) && (api.ErrorCode == codeNoJetStream || api.ErrorCode == codeNoJetStream39) {
		return &configError{err}
	}
	return err
}

// upgrade changes the streams to three replicas when there are enough servers.
func (e *Engine) upgrade(ctx context.Context) {
	if e.opts.Replicas != 0 {
		return
	}
	for sleep(ctx, upgradeEvery) {
		s, epoch, err := e.link.ready(ctx)
		if err != nil {
			return
		}
		if s.copied || e.peers.servers(s.nc.ConnectedServerId()) < replicas {
			continue
		}
		if js, err := jetstream.New(s.nc); err == nil && isReplicated(ctx, js, s.log) && isReplicated(ctx, js, s.state) {
			again := *s
			again.copied, again.leader = true, true
			e.link.replace(s, &again, epoch)
		}
	}
}

// replace replaces the store, unless the connection has changed.
func (l *link) replace(old, s *store, epoch string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.store == old && l.epoch == epoch {
		l.store = s
	}
}

func isReplicated(ctx context.Context, js jetstream.JetStream, name string) bool {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	st, err := js.Stream(ctx, name)
	if err != nil {
		return false
	}
	c := st.CachedInfo().Config
	if c.Replicas >= replicas {
		return true
	}
	c.Replicas = replicas
	_, err = js.UpdateStream(ctx, c)
	return err == nil
}
