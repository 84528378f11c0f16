package hub

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// health records whether the engine works.
type health struct {
	probing bool        // the engine implements Probe, and probing is enabled
	changed func(error) // [Options].EngineState

	mu       sync.Mutex
	down     error // the error of Run
	probe    error // the error of the last Probe, or the error of Run if that is newer
	lag      time.Duration
	probed   bool
	closing  bool
	reported *string // the error that was last reported, or "" for none; nil before the first report
}

// Ready returns nil if the engine works: it is running, and the last probe succeeded.
func (h *Hub) Ready() error {
	h.health.mu.Lock()
	defer h.health.mu.Unlock()
	switch {
	case h.health.closing:
		return ErrClosed
	case h.health.down != nil:
		return h.health.down
	case h.health.probe != nil:
		return h.health.probe
	case h.health.probing && !h.health.probed:
		return errors.New("hub: the engine has not answered yet")
	}
	return nil
}

// EngineLag returns how long the last probe of the engine took, or 0 before the first one.
func (h *Hub) EngineLag() time.Duration {
	h.health.mu.Lock()
	defer h.health.mu.Unlock()
	return h.health.lag
}

// setDown records that Run has returned err, or, if err is nil, that Run is called again. If the engine is probed, it is considered working
// only after the next successful probe.
func (h *health) setDown(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.down = err
	switch {
	case err != nil:
		if h.probing {
			h.probe = err
		}
		h.report(err, true)
	case !h.probing:
		h.report(nil, false)
	}
}

// setProbe records the result of a probe.
func (h *health) setProbe(err error, lag time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.probe, h.lag, h.probed = err, lag, true
	if h.down == nil {
		h.report(err, false)
	}
}

// report reports a change between working, for which err is nil, and failing. If reason is set, it also reports a failure whose reason
// differs from that of the last report. The caller holds mu.
func (h *health) report(err error, reason bool) {
	why := ""
	if err != nil {
		why = err.Error()
	}
	if h.reported != nil && (*h.reported == why || *h.reported != "" && why != "" && !reason) {
		return
	}
	h.reported = &why
	if h.changed != nil && !h.closing {
		h.changed(err)
	}
}

// keepProbing probes the engine periodically.
func (h *Hub) keepProbing() {
	for {
		ctx, cancel := context.WithTimeout(h.ctx, h.opts.ProbeEvery)
		began := time.Now()
		err := h.engine.(Probe).Probe(ctx)
		cancel()
		if err != nil {
			err = fmt.Errorf("hub: probing the engine: %w", err)
		}
		h.health.setProbe(err, time.Since(began))
		if !h.sleep(h.opts.ProbeEvery) {
			return
		}
	}
}
