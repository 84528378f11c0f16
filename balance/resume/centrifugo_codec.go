package resume

import (
	"bytes"
	"encoding/binary"

	"github.com/centrifugal/protocol"
	"github.com/centrifugal/protocol/cfjson"
)

// format is the encoding of the messages of a connection with Centrifugo's protocol: JSON, one per line, or Protobuf with a length
// prefix. A WebSocket message may contain several.
type format struct{ binary bool }

// cut returns the first command or reply of a message, and the rest.
func (f format) cut(data []byte) (part, rest []byte, ok bool) {
	if !f.binary {
		part, rest, _ = bytes.Cut(data, []byte("\n"))
		return part, rest, true
	}
	return prefixed(data)
}

// uvarint returns the number at the start of data, and the rest.
func uvarint(data []byte) (v uint64, rest []byte, ok bool) {
	v, n := binary.Uvarint(data)
	if n <= 0 {
		return 0, nil, false
	}
	return v, data[n:], true
}

// prefixed returns the bytes after a length prefix, and the rest.
func prefixed(data []byte) (value, rest []byte, ok bool) {
	size, rest, ok := uvarint(data)
	if !ok {
		return nil, nil, false
	}
	return split(rest, size)
}

// split returns the first n bytes of data, and the rest.
func split(data []byte, n uint64) (head, rest []byte, ok bool) {
	if n > uint64(len(data)) {
		return nil, nil, false
	}
	return data[:n:n], data[n:], true
}

// blank reports whether a part is an empty line, which is ignored.
func (f format) blank(part []byte) bool { return !f.binary && len(part) == 0 }

// join appends a command or reply to a message.
func (f format) join(data, part []byte) []byte {
	if f.binary {
		data = binary.AppendUvarint(data, uint64(len(part)))
	} else if len(data) > 0 {
		data = append(data, '\n')
	}
	return append(data, part...)
}

// message returns one command or reply as a message.
func (f format) message(part []byte) Message {
	return Message{Binary: f.binary, Data: f.join(nil, part)}
}

// ping returns the ping of a server, which is an empty reply.
func (f format) ping() Message {
	if f.binary {
		return f.message(nil)
	}
	return f.message([]byte("{}"))
}

// command decodes a command. The result shares the memory of part.
func (f format) command(part []byte) (*protocol.Command, bool) {
	c := new(protocol.Command)
	if f.binary {
		return c, c.UnmarshalCF(part) == nil
	}
	return c, cfjson.Unmarshal(part, c, 0) == nil
}

// reply decodes a reply. The result shares the memory of part.
func (f format) reply(part []byte) (*protocol.Reply, bool) {
	r := new(protocol.Reply)
	if f.binary {
		return r, r.UnmarshalCF(part) == nil
	}
	return r, cfjson.Unmarshal(part, r, 0) == nil
}

// encodeCommand encodes a command of the session itself.
func (f format) encodeCommand(c *protocol.Command) ([]byte, error) {
	if f.binary {
		return c.MarshalCF()
	}
	return protocol.NewJSONCommandEncoder().Encode(c)
}

// encodeReply encodes a reply that the session has changed.
func (f format) encodeReply(r *protocol.Reply) ([]byte, error) {
	if f.binary {
		return r.MarshalCF()
	}
	return protocol.NewJSONReplyEncoder().Encode(r)
}
