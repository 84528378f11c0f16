// Package record encodes and decodes the data that the engines of package hub send and store.
//
// A record is a byte for its kind, followed by fields: a tag byte, the length of the value as an unsigned varint, and the value. A
// field with a zero value is omitted. A field with an unknown tag is skipped, so that nodes of two versions can work together.
// Positions are not part of a record: an engine knows them only after it has written the record, and stores them separately.
//
// The results of decoding share memory with the input, which must not be modified afterwards. Decoding allocates memory
// at most in proportion to the length of the input. The error for anything that is not a valid record is [ErrBad].
package record

import (
	"encoding/binary"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/handfast/handfast/hub"
)

// ErrBad indicates that the input is not a record of the expected kind.
var ErrBad = errors.New("record: not a valid record")

// The kinds of records: the first byte of each.
const (
	KindPublication = 'p'
	KindEntries     = 'e'
	KindCommand     = 'c'
)

// The tags of the fields of a publication.
const (
	tagID = 1 + iota
	tagEvent
	tagData
	tagBinary
	tagKey
	tagRemoved
	tagTag // the length of the key, the key, and the value
	tagClient
	tagUser
	tagInfo
	tagNotTo
	tagTime
	tagExpires
	tagTrace
)

// AppendPublication appends p, without its position, to b.
func AppendPublication(b []byte, p *hub.Publication) []byte {
	b = append(b, KindPublication)
	b = appendString(b, tagID, p.ID)
	b = appendString(b, tagEvent, p.Event)
	b = appendBytes(b, tagData, p.Data)
	b = appendFlag(b, tagBinary, p.Binary)
	b = appendString(b, tagKey, p.Key)
	b = appendFlag(b, tagRemoved, p.Removed)
	for _, k := range slices.Sorted(maps.Keys(p.Tags)) {
		v := p.Tags[k]
		b = append(b, tagTag)
		b = binary.AppendUvarint(b, uint64(uvarintLen(len(k))+len(k)+len(v)))
		b = append(binary.AppendUvarint(b, uint64(len(k))), k...)
		b = append(b, v...)
	}
	b = appendString(b, tagClient, p.Client)
	b = appendString(b, tagUser, p.User)
	b = appendBytes(b, tagInfo, p.Info)
	b = appendString(b, tagNotTo, p.NotTo)
	b = appendTime(b, tagTime, p.Time)
	b = appendTime(b, tagExpires, p.Expires)
	return appendString(b, tagTrace, p.Trace)
}

// Publication decodes a publication. Its position is zero.
func Publication(b []byte) (*hub.Publication, error) {
	p := new(hub.Publication)
	err := fields(b, KindPublication, func(tag byte, v []byte) error {
		switch tag {
		case tagID:
			p.ID = string(v)
		case tagEvent:
			p.Event = string(v)
		case tagData:
			p.Data = v
		case tagBinary:
			p.Binary = true
		case tagKey:
			p.Key = string(v)
		case tagRemoved:
			p.Removed = true
		case tagTag:
			n, size := binary.Uvarint(v)
			if size <= 0 || n > uint64(len(v)-size) {
				return ErrBad
			}
			if p.Tags == nil {
				p.Tags = map[string]string{}
			}
			v = v[size:]
			p.Tags[string(v[:n])] = string(v[n:])
		case tagClient:
			p.Client = string(v)
		case tagUser:
			p.User = string(v)
		case tagInfo:
			p.Info = v
		case tagNotTo:
			p.NotTo = string(v)
		case tagTime:
			return readTime(v, &p.Time)
		case tagExpires:
			return readTime(v, &p.Expires)
		case tagTrace:
			p.Trace = string(v)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return p, nil
}

func uvarintLen(n int) int {
	var a [binary.MaxVarintLen64]byte
	return binary.PutUvarint(a[:], uint64(n))
}

func appendBytes(b []byte, tag byte, v []byte) []byte {
	if v == nil {
		return b
	}
	b = binary.AppendUvarint(append(b, tag), uint64(len(v)))
	return append(b, v...)
}

func appendString(b []byte, tag byte, v string) []byte {
	if v == "" {
		return b
	}
	b = binary.AppendUvarint(append(b, tag), uint64(len(v)))
	return append(b, v...)
}

func appendFlag(b []byte, tag byte, v bool) []byte {
	if !v {
		return b
	}
	return append(b, tag, 0)
}

func appendUint(b []byte, tag byte, v uint64) []byte {
	if v == 0 {
		return b
	}
	var a [binary.MaxVarintLen64]byte
	return appendBytes(b, tag, binary.AppendUvarint(a[:0], v))
}

// appendTime appends the seconds and the nanoseconds of the Unix time.
func appendTime(b []byte, tag byte, t time.Time) []byte {
	if t.IsZero() {
		return b
	}
	var a [2 * binary.MaxVarintLen64]byte
	return appendBytes(b, tag, binary.AppendUvarint(binary.AppendVarint(a[:0], t.Unix()), uint64(t.Nanosecond())))
}

func readTime(v []byte, to *time.Time) error {
	s, n := binary.Varint(v)
	ns, m := binary.Uvarint(v[max(0, n):]) // if the first number is invalid, n is not positive, which the check below rejects
	if m <= 0 || n+m != len(v) || ns >= uint64(time.Second) {
		return ErrBad
	}
	if *to = time.Unix(s, int64(ns)); to.IsZero() {
		*to = time.Time{}
	}
	return nil
}

func readUint(v []byte, to *uint64) error {
	u, n := binary.Uvarint(v)
	if n <= 0 || n != len(v) {
		return ErrBad
	}
	*to = u
	return nil
}

// fields calls f for each field of a record of the given kind.
func fields(b []byte, kind byte, f func(tag byte, v []byte) error) error {
	if len(b) == 0 || b[0] != kind {
		return ErrBad
	}
	return each(b[1:], f)
}

// each calls f for each field in b.
func each(b []byte, f func(tag byte, v []byte) error) error {
	for len(b) > 0 {
		n, size := binary.Uvarint(b[1:])
		if size <= 0 || n > uint64(len(b)-1-size) {
			return ErrBad
		}
		v := b[1+size : 1+size+int(n) : 1+size+int(n)]
		if err := f(b[0], v); err != nil {
			return err
		}
		b = b[1+size+int(n):]
	}
	return nil
}
