package hub

import (
	"slices"

	"github.com/handfast/handfast/websocket"
)

// encodings is a batch as encoded by one codec.
type encodings struct {
	codec    Codec
	full     []*websocket.Prepared // one message for each publication; nil where the codec has no message
	bases    []*websocket.Prepared // complete publications, for subscribers with deltas that have no base; nil until needed
	joins    []*websocket.Prepared
	changes  []*websocket.Prepared
	members  bool // joins and changes have been encoded
	joined   [16][]*websocket.Prepared
	combined [16]bool
}

// The kinds of subscribers, which are combined with |. A coding joins the messages for each combination.
const (
	withDeltas  = 1 // every publication is a delta from the one before, including the first
	withChanges = 2
	withoutBase = 4 // like withDeltas, but the first publication is complete
	withKeys    = 8 // every publication is a delta from the one before with the same key
)

// encodingsFor returns the coding of b for a codec.
func (b *batch) encodingsFor(ch *channel, codec Codec) *encodings {
	for i := range b.encodings {
		if b.encodings[i].codec == codec {
			return &b.encodings[i]
		}
	}
	b.encodings = append(b.encodings, encodings{codec: codec})
	c := &b.encodings[len(b.encodings)-1]
	name := ch.local()
	c.full = make([]*websocket.Prepared, len(b.ps))
	for i, p := range b.ps {
		c.full[i], _ = codec.Publication(name, p, nil) // a publication that a codec cannot encode is not sent to its clients
	}
	return c
}

// messages returns the messages for one kind of subscriber.
func (c *encodings) messages(ch *channel, b *batch, kind int) []*websocket.Prepared {
	if c.combined[kind] {
		return c.joined[kind]
	}
	c.combined[kind] = true
	name := ch.local()
	ps := c.full
	switch {
	case kind&withKeys != 0:
		ps = make([]*websocket.Prepared, len(b.ps))
		for i, p := range b.ps {
			ps[i], _ = c.codec.Publication(name, p, b.keyed[i])
		}
	case kind&(withDeltas|withoutBase) != 0:
		ps = make([]*websocket.Prepared, len(b.ps))
		previous := NoBase
		if kind&withDeltas != 0 {
			previous = b.previous
		}
		for i, p := range b.ps {
			ps[i], _ = c.codec.Publication(name, p, previous)
			if previous = p; p.internal() {
				previous = NoBase
			}
		}
	}
	if kind&withChanges != 0 && !c.members {
		c.members = true
		if len(b.joins) > 0 {
			c.joins, _ = c.codec.Members(name, b.joins)
		}
		if len(b.changes) > 0 {
			c.changes, _ = c.codec.Members(name, b.changes)
		}
	}
	var out []*websocket.Prepared
	if kind&withChanges != 0 {
		out = append(out, c.joins...)
	}
	out = append(out, ps...)
	if kind&withChanges != 0 {
		out = append(out, c.changes...)
	}
	out = slices.DeleteFunc(out, func(p *websocket.Prepared) bool { return p == nil })
	c.joined[kind] = out
	return out
}

// withoutBases returns the publications for a subscriber that has requested deltas but has none of the earlier publications.
func (c *encodings) withoutBases(name string, b *batch) []*websocket.Prepared {
	if c.bases == nil {
		c.bases = make([]*websocket.Prepared, len(b.ps))
		for i, p := range b.ps {
			c.bases[i], _ = c.codec.Publication(name, p, NoBase)
		}
	}
	return c.bases
}
