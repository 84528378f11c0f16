package hub

import (
	"context"
	"encoding/hex"
	"math/rand/v2"
	"strings"
)

// Trace reports that a publication with a trace ID was published, or that it was sent to the subscribers of a node.
type Trace struct {
	// App is the application, and Channel is the name of the channel.
	App, Channel string

	// Publication is the publication. It must not be modified.
	Publication *Publication

	// Position is the position of the publication; for a Duplicate, that of the original.
	Position

	// Delivered is false if this node has published the publication, and true if this node has sent the publication to subscribers.
	Delivered bool

	// Subscribers is the number of subscribers on this node that it was sent to. Subscribers that read too slowly are not counted:
	// they receive it from the history.
	Subscribers int

	// Duplicate reports that a publication with the same ID had already been published, so that Publication was not.
	Duplicate bool

	// Err is the error of publishing; nil if it succeeded.
	Err error

	// Sampled reports whether the channel's namespace traces a share of its publications: see Namespace.Trace.
	Sampled bool
}

// traceKey is the key of a trace ID in a context.
type traceKey struct{}

// WithTraceparent returns ctx with the trace ID of a W3C traceparent header, for [Hub.Publish]: publications with that context get
// the trace ID. It returns ctx unchanged if the header is not valid or the caller does not record the trace.
func WithTraceparent(ctx context.Context, header string) context.Context {
	if id := parseTraceparent(header); id != "" {
		return context.WithValue(ctx, traceKey{}, id)
	}
	return ctx
}

// parseTraceparent returns the trace ID of a header, "" unless it is valid and sampled: VERSION-TRACE-PARENT-FLAGS, in lower
// case hexadecimal digits. Versions later than 00 may have more fields.
func parseTraceparent(header string) string {
	parts := strings.Split(header, "-")
	if len(parts) < 4 || parts[0] == "ff" || parts[0] == "00" && len(parts) > 4 {
		return ""
	}
	for i, size := range []int{2, 32, 16, 2} {
		if len(parts[i]) != size || strings.Trim(parts[i], "0123456789abcdef") != "" {
			return ""
		}
	}
	flags, _ := hex.DecodeString(parts[3]) // parts[3] consists of two hexadecimal digits
	if strings.Trim(parts[1], "0") == "" || strings.Trim(parts[2], "0") == "" || flags[0]&1 == 0 {
		return ""
	}
	return parts[1]
}

// traceOf returns the trace ID of a publication: the one of the context, or a new one if the namespace samples this publication; ""
// otherwise.
func traceOf(ctx context.Context, ns *namespace) string {
	if id, ok := ctx.Value(traceKey{}).(string); ok {
		return id
	}
	if ns.Trace > 0 && rand.Float64() < ns.Trace { // the random number is not a secret
		return newTrace()
	}
	return ""
}

func newTrace() string {
	var id [16]byte
	for i := range id {
		id[i] = byte(rand.Uint32()) // the random number is not a secret
	}
	id[0] |= 1 // an ID of all zeros is not valid
	return hex.EncodeToString(id[:])
}

// tracePublished reports the result of publishing a publication with a trace ID.
func tracePublished(to func(Trace), ns *namespace, name string, p *Publication, done Published, err error) {
	if to == nil {
		return
	}
	app, channel := SplitChannel(name)
	to(Trace{App: app, Channel: channel, Publication: p, Position: done.Position, Duplicate: done.Duplicate, Err: err, Sampled: ns.Trace > 0})
}

// countReceiver counts x as a receiver of each publication of b that it receives.
func (b *batch) countReceiver(x *subscription) {
	for i, p := range b.ps {
		if x.needs(p) {
			b.receivers[i]++
		}
	}
}

// traceDelivered reports the publications of b that have a trace ID.
func traceDelivered(to func(Trace), ch *channel, b *batch) {
	app, channel := SplitChannel(ch.name)
	for i, p := range b.ps {
		if p.Trace != "" {
			to(Trace{App: app, Channel: channel, Publication: p, Position: p.Position, Delivered: true, Subscribers: b.receivers[i], Sampled: ch.ns.Trace > 0})
		}
	}
}
