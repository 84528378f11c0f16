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

// format is the encoding of the messages of a connection. It is the [hub.Codec] of all connections with that format.
type format uint8

const (
	asJSON     format = iota // JSON objects; several in one message are separated by line feeds
	asProtobuf               // each message is preceded by its length as a varint
)

// maxDelta is the maximum size of data from which deltas are computed, because the time grows faster than the size.
const maxDelta = 256 << 10

// message returns a message that contains encoded replies.
func (f format) message(data []byte) websocket.Message {
	if f == asProtobuf {
		return websocket.Message{Type: websocket.Binary, Data: data}
	}
	return websocket.Message{Type: websocket.Text, Data: data}
}

// encode encodes a reply.
func (f format) encode(r *protocol.Reply) ([]byte, error) {
	if f == asJSON {
		return protocol.NewJSONReplyEncoder().Encode(r)
	}
	size := r.SizeCF()
	b := binary.AppendUvarint(make([]byte, 0, binary.MaxVarintLen32+size), uint64(size)) // size is not negative
	n := len(b)
	b = b[:n+size]
	_, err := r.MarshalToSizedBufferCF(b[n:])
	return b, err
}

// prepare encodes a push once for all receivers.
func (f format) prepare(p *protocol.Push) (*websocket.Prepared, error) {
	data, err := f.encode(&protocol.Reply{Push: p})
	if err != nil {
		return nil, err
	}
	return websocket.Prepare(f.message(data))
}

// pings are the encoded pings of the protocol, by format.
var pings = [2]*websocket.Prepared{prepared(asJSON, []byte("{}")), prepared(asProtobuf, []byte{0})}

func prepared(f format, data []byte) *websocket.Prepared {
	p, err := websocket.Prepare(f.message(data))
	if err != nil {
		panic(err) // the data is constant
	}
	return p
}

// data returns the data of a publication for clients. In JSON, text that is not JSON becomes a string, and binary data becomes a
// string in base64.
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

// info returns the public data of a client or a member; nil if there is none.
func (f format) info(data []byte) protocol.Raw {
	if len(data) == 0 {
		return nil
	}
	return f.data(data, false)
}

// publication returns a publication for clients.
func (f format) publication(p *hub.Publication) *protocol.Publication {
	q := &protocol.Publication{Data: f.data(p.Data, p.Binary), Offset: p.Offset, Tags: p.Tags, Key: p.Key, Removed: p.Removed}
	if p.Client != "" {
		q.Info = &protocol.ClientInfo{User: p.User, Client: p.Client, ConnInfo: f.info(p.Info)}
	}
	if p.Offset != 0 && p.Previous == 0 {
		q.Epoch = p.Epoch // a client that subscribed before the stream began does not know the epoch
	}
	return q
}

// delta returns a publication for subscribers with deltas: as a delta from the previous publication if that is possible and
// shorter. In JSON the data is then always a string.
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

// publications returns publications for a reply. r is the request for a subscription, or nil in the reply to another request.
func (f format) publications(ps []*hub.Publication, r *request) []*protocol.Publication {
	all := make([]*protocol.Publication, len(ps))
	bases := map[string]*hub.Publication{} // the previous publication of each key; a stream has only the key ""
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

// state returns a part of a keyed collection for the reply to a request for a subscription.
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

// Members implements [hub.Codec]. The protocol has no message for changed data of a member.
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
	return f.prepare(&protocol.Push{Channel: channel, Unsubscribe: unsubscribePush(why)})
}

// Closing implements [hub.Codec].
func (f format) Closing(why hub.EndReason) (m *websocket.Prepared, code websocket.Code, reason string) {
	end := ends[why]
	return nil, end.Code, end.Reason
}
