package record

import (
	"encoding/binary"

	"github.com/handfast/handfast/hub"
)

// The tags of the fields of an entry.
const (
	tagEntryLease = 1 + iota
	tagEntryClient
	tagEntryUser
	tagEntryData
	tagEntryVersion
	tagEntryGone
)

// tagEntry is the only tag in a record of entries: each value is a record of an entry.
const tagEntry = 1

// AppendEntries appends entries of a roster to b, as one record.
func AppendEntries(b []byte, es ...hub.Entry) []byte {
	b = append(b, KindEntries)
	var one []byte
	for i := range es {
		e := &es[i]
		one = appendString(one[:0], tagEntryLease, e.Lease)
		one = appendString(one, tagEntryClient, e.Client)
		one = appendString(one, tagEntryUser, e.User)
		one = appendBytes(one, tagEntryData, e.Data)
		one = appendUint(one, tagEntryVersion, e.Version)
		one = appendFlag(one, tagEntryGone, e.Gone)
		b = binary.AppendUvarint(append(b, tagEntry), uint64(len(one)))
		b = append(b, one...)
	}
	return b
}

// Entries decodes a record of entries.
func Entries(b []byte) ([]hub.Entry, error) {
	var es []hub.Entry
	err := fields(b, KindEntries, func(tag byte, v []byte) error {
		if tag != tagEntry {
			return nil
		}
		var e hub.Entry
		err := each(v, func(tag byte, v []byte) error {
			switch tag {
			case tagEntryLease:
				e.Lease = string(v)
			case tagEntryClient:
				e.Client = string(v)
			case tagEntryUser:
				e.User = string(v)
			case tagEntryData:
				e.Data = v
			case tagEntryVersion:
				return readUint(v, &e.Version)
			case tagEntryGone:
				e.Gone = true
			}
			return nil
		})
		es = append(es, e)
		return err
	})
	if err != nil {
		return nil, err
	}
	return es, nil
}

// The tags of the fields of a command.
const (
	tagCommandKind = 1 + iota
	tagCommandApp
	tagCommandUser
	tagCommandClient
	tagCommandExcept
	tagCommandChannel
	tagCommandData
	tagCommandReason
)

// AppendCommand appends c to b.
func AppendCommand(b []byte, c *hub.Command) []byte {
	b = append(b, KindCommand)
	b = appendUint(b, tagCommandKind, uint64(c.Kind))
	b = appendString(b, tagCommandApp, c.App)
	b = appendString(b, tagCommandUser, c.User)
	b = appendString(b, tagCommandClient, c.Client)
	for _, client := range c.Except {
		b = appendString(b, tagCommandExcept, client)
	}
	b = appendString(b, tagCommandChannel, c.Channel)
	b = appendBytes(b, tagCommandData, c.Data)
	return appendUint(b, tagCommandReason, uint64(c.Reason))
}

// Command decodes a command.
func Command(b []byte) (hub.Command, error) {
	var c hub.Command
	var kind, reason uint64
	err := fields(b, KindCommand, func(tag byte, v []byte) error {
		switch tag {
		case tagCommandKind:
			return readUint(v, &kind)
		case tagCommandApp:
			c.App = string(v)
		case tagCommandUser:
			c.User = string(v)
		case tagCommandClient:
			c.Client = string(v)
		case tagCommandExcept:
			if len(v) > 0 { // an empty value is the same as a field that is left out
				c.Except = append(c.Except, string(v))
			}
		case tagCommandChannel:
			c.Channel = string(v)
		case tagCommandData:
			c.Data = v
		case tagCommandReason:
			return readUint(v, &reason)
		}
		return nil
	})
	if c.Kind, c.Reason = hub.CommandKind(kind), hub.EndReason(reason); err == nil && (uint64(c.Kind) != kind || uint64(c.Reason) != reason) {
		err = ErrBad // a kind that overflows would become another kind
	}
	if err != nil {
		return hub.Command{}, err
	}
	return c, nil
}
