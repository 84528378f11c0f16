package centrifugo

import (
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"strings"
	"unicode/utf8"

	"github.com/centrifugal/fdelta"
	"github.com/centrifugal/protocol"
	"github.com/centrifugal/protocol/cfjson"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/websocket"
)

// format is how the messages of a connection are encoded. It is the [hub.Codec] of all connections with it.
type format uint8

const (
	asJSON     format = iota // a JSON object; several in one message are separated by line feeds
	asProtobuf               // each with its length before it, as a varint
)

// maxDelta bounds the bytes of what deltas are made of: the time that takes grows faster.
const maxDelta = 256 << 10

// message returns encoded replies as a message.
func (f format) message(data []byte) websocket.Message {
	if f == asProtobuf {
		return websocket.Message{Type: websocket.Binary, Data: data}
	}
	return websocket.Message{Type: websocket.Text, Data: data}
}

// encode returns a reply as it is sent.
func (f format) encode(r *protocol.Reply) ([]byte, error) {
	if f == asJSON {
		return protocol.NewJSONReplyEncoder().Encode(r)
	}
	size := r.SizeCF()
	b := binary.AppendUvarint(make([]byte, 0, binary.MaxVarintLen32+size), uint64(size)) //nolint:gosec // a size is not negative
	n := len(b)
	b = b[:n+size]
	_, err := r.MarshalToSizedBufferCF(b[n:])
	return b, err
}

// prepare encodes a push once for all that get it.
func (f format) prepare(p *protocol.Push) (*websocket.Prepared, error) {
	data, err := f.encode(&protocol.Reply{Push: p})
	if err != nil {
		return nil, err
	}
	return websocket.Prepare(f.message(data))
}

// pings are what a client gets so that it knows that the connection works.
var pings = [2]*websocket.Prepared{prepared(asJSON, []byte("{}")), prepared(asProtobuf, []byte{0})}

func prepared(f format, data []byte) *websocket.Prepared {
	p, err := websocket.Prepare(f.message(data))
	if err != nil {
		panic(err) // of a constant
	}
	return p
}

// data returns what others have published as clients see it: in JSON, text that is not JSON is a string, and what is not text is
// a string in base64.
func (f format) data(data []byte, isBinary bool) protocol.Raw {
	switch {
	case f == asProtobuf:
		return data
	case isBinary || !utf8.Valid(data):
		return cfjson.AppendString(nil, base64.StdEncoding.EncodeToString(data))
	case len(data) == 0:
		return protocol.Raw("null")
	case cfjson.Valid(data):
		return data
	}
	return cfjson.AppendString(nil, string(data))
}

// info returns what a client or a member shows of itself; nil if that is nothing.
func (f format) info(data []byte) protocol.Raw {
	if len(data) == 0 {
		return nil
	}
	return f.data(data, false)
}

// publication returns a publication as clients see it.
func (f format) publication(p *hub.Publication) *protocol.Publication {
	q := &protocol.Publication{Data: f.data(p.Data, p.Binary), Offset: p.Offset, Tags: p.Tags, Key: p.Key, Removed: p.Removed}
	if p.Client != "" {
		q.Info = &protocol.ClientInfo{User: p.User, Client: p.Client, ConnInfo: f.info(p.Info)}
	}
	if p.Offset != 0 && p.Previous == 0 {
		q.Epoch = p.Epoch // a client that has subscribed before the stream began does not know it
	}
	return q
}

// delta returns a publication for subscribers that have asked for deltas: as the difference to the previous one where that is
// possible and shorter. In JSON the data is then always in a string.
func (f format) delta(p, previous *hub.Publication) *protocol.Publication {
	q := f.publication(p)
	if previous != hub.NoBase && len(p.Data) <= maxDelta && len(previous.Data) <= maxDelta {
		patch := fdelta.Create(f.data(previous.Data, previous.Binary), q.Data)
		if len(patch) < len(q.Data) && (f == asProtobuf || utf8.Valid(patch)) {
			q.Data, q.Delta = patch, true
		}
	}
	if f == asJSON {
		q.Data = cfjson.AppendString(nil, string(q.Data))
	}
	return q
}

// publications returns what a client gets in the reply to a request for a subscription; nil if that is not one.
func (f format) publications(ps []*hub.Publication, r *request) []*protocol.Publication {
	all := make([]*protocol.Publication, len(ps))
	bases := map[string]*hub.Publication{} // by key; of a stream, it is all one
	for i, p := range ps {
		if r == nil || !r.deltas {
			all[i] = f.publication(p)
			continue
		}
		key := ""
		if r.keyed {
			key = p.Key
		}
		all[i] = f.delta(p, cmp.Or(bases[key], hub.NoBase))
		if bases[key] = p; r.keyed && (p.Removed || key == "") {
			delete(bases, key)
		}
	}
	return all
}

// state returns a part of a keyed collection as a client gets it that has asked for a subscription.
func (f format) state(ps []*hub.Publication, r *request) []*protocol.Publication {
	var all []*protocol.Publication
	for _, p := range ps {
		switch {
		case r.filter != nil && !r.filter(p):
		case r.deltas:
			all = append(all, f.delta(p, hub.NoBase))
		default:
			all = append(all, f.publication(p))
		}
	}
	return all
}

// Publication implements [hub.Codec].
func (f format) Publication(channel string, p, previous *hub.Publication) (*websocket.Prepared, error) {
	if strings.HasPrefix(p.Event, hub.InternalPrefix) {
		return nil, nil
	}
	q := &protocol.Push{Channel: channel}
	if previous == nil {
		q.Pub = f.publication(p)
	} else {
		q.Pub = f.delta(p, previous)
	}
	return f.prepare(q)
}

// Members implements [hub.Codec]. The protocol has nothing for a member whose data has changed.
func (f format) Members(channel string, cs []hub.Change) ([]*websocket.Prepared, error) {
	var all []*websocket.Prepared
	for _, c := range cs {
		info := &protocol.ClientInfo{User: c.User, Client: c.Client, ConnInfo: f.info(c.Data)}
		if c.User == c.Client {
			info.User = ""
		}
		p := &protocol.Push{Channel: channel}
		switch c.Kind {
		case hub.Joined:
			p.Join = &protocol.Join{Info: info}
		case hub.Left:
			p.Leave = &protocol.Leave{Info: info}
		case hub.Updated:
			continue
		}
		m, err := f.prepare(p)
		if err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	return all, nil
}

// Ended implements [hub.Codec].
func (f format) Ended(channel string, why hub.EndReason) (*websocket.Prepared, error) {
	return f.prepare(&protocol.Push{Channel: channel, Unsubscribe: unsubscribed(why)})
}

// Closing implements [hub.Codec].
func (f format) Closing(why hub.EndReason) (m *websocket.Prepared, code websocket.Code, reason string) {
	end := ends[why]
	return nil, end.Code, end.Reason
}
