package resume

// push contains the fields of a publication that the session needs. Most messages of a server are publications, so these fields are
// read without decoding the rest. The slices share the memory of the message.
type push struct {
	channel []byte
	client  []byte // the publisher's client ID
	offset  uint64
}

// publication parses a publication, and reports whether all of it is known to the session.
func (f format) publication(part []byte) (p push, ok bool) {
	if f.binary {
		ok = p.binary(part)
	} else {
		o := object{text: part}
		ok = o.enter() && p.reply(&o) && !o.bad
	}
	return p, ok && p.channel != nil
}

// reply parses {"push":…}.
func (p *push) reply(o *object) bool {
	for name, ok := o.name(); ok; name, ok = o.name() {
		if string(name) != "push" || !o.enter() || !p.push(o) {
			return false
		}
	}
	return true
}

// push parses the value of push.
func (p *push) push(o *object) bool {
	has := false
	for name, ok := o.name(); ok; name, ok = o.name() {
		switch string(name) {
		case "channel":
			if p.channel, ok = unquoted(o.take()); !ok {
				return false
			}
		case "pub":
			if has = o.enter() && p.pub(o); !has {
				return false
			}
		default:
			return false
		}
	}
	return has
}

// pub parses the value of pub.
func (p *push) pub(o *object) bool {
	for name, ok := o.name(); ok; name, ok = o.name() {
		switch string(name) {
		case "offset":
			if p.offset, ok = number(o.take()); !ok {
				return false
			}
		case "info":
			if !o.enter() || !p.info(o) {
				return false
			}
		case "epoch":
			return false
		default:
			o.take()
		}
	}
	return !o.bad
}

// info parses the publisher's info.
func (p *push) info(o *object) bool {
	for name, ok := o.name(); ok; name, ok = o.name() {
		value := o.take()
		if string(name) == "client" {
			if p.client, ok = unquoted(value); !ok {
				return false
			}
		}
	}
	return !o.bad
}

// The wire types of Protobuf, and the tags of the fields: number and wire type. A field with another wire type is an unknown field.
const (
	wireVarint, wire64, wireBytes, wire32 = 0, 1, 2, 5

	replyPush                    = 4<<3 | wireBytes
	pushChannel, pushPub         = 2<<3 | wireBytes, 4<<3 | wireBytes
	pubInfo, pubOffset, pubEpoch = 5<<3 | wireBytes, 6<<3 | wireVarint, 14<<3 | wireBytes
	infoClient                   = 2<<3 | wireBytes
)

// binary parses a publication in Protobuf.
func (p *push) binary(part []byte) bool {
	has := false
	return fields(part, func(tag uint64, value []byte, _ uint64) bool {
		return tag == replyPush && fields(value, func(tag uint64, value []byte, _ uint64) bool {
			switch tag {
			case pushChannel:
				p.channel = value
			case pushPub:
				has = fields(value, p.field)
				return has
			default:
				return false
			}
			return true
		})
	}) && has
}

// field parses a field of a publication in Protobuf.
func (p *push) field(tag uint64, value []byte, n uint64) bool {
	switch tag {
	case pubOffset:
		p.offset = n
	case pubEpoch:
		return false
	case pubInfo:
		return fields(value, func(tag uint64, value []byte, _ uint64) bool {
			if tag == infoClient {
				p.client = value
			}
			return true
		})
	}
	return true
}

// fields calls f for each field of a Protobuf message, with its tag and its value as bytes or as a number, until f returns false. It returns
// true if the message is well-formed and f has accepted every field.
func fields(message []byte, f func(tag uint64, value []byte, n uint64) bool) bool {
	for len(message) > 0 {
		tag, rest, ok := uvarint(message)
		if !ok {
			return false
		}
		var value []byte
		var v uint64
		switch tag & 7 {
		case wireVarint:
			v, rest, ok = uvarint(rest)
		case wire64:
			_, rest, ok = split(rest, 8)
		case wire32:
			_, rest, ok = split(rest, 4)
		case wireBytes:
			value, rest, ok = prefixed(rest)
		default:
			return false
		}
		if !ok || !f(tag, value, v) {
			return false
		}
		message = rest
	}
	return true
}
