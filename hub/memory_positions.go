package hub

import (
	"container/list"
	"context"
	"time"
)

// maxPositions is the number of device positions that a Memory keeps. Beyond that, the oldest ones are forgotten.
const maxPositions = 100_000

// memoryAck is the saved position of a device.
type memoryAck struct {
	at   Position
	mark *list.Element // contains an ackMark
}

// ackMark records when a position was last saved.
type ackMark struct {
	channel, device string
	at              time.Time
}

// SavePosition implements [Positions].
func (n *memoryNode) SavePosition(_ context.Context, name, device string, p Position) error {
	m, now := n.memory, time.Now()
	m.with(name, func(c *memoryChannel) {
		old, ok := c.acks[device]
		if ok && old.at.Epoch == p.Epoch && old.at.Offset >= p.Offset {
			return
		}
		if c.acks == nil {
			c.acks = map[string]memoryAck{}
		}
		c.acks[device] = memoryAck{p, m.mark(old.mark, ackMark{name, device, now})}
	})
	m.forgetPositions(now)
	return nil
}

// mark records that a position was saved. It replaces old, which may be nil.
func (m *Memory) mark(old *list.Element, now ackMark) *list.Element {
	m.mu.Lock()
	defer m.mu.Unlock()
	if old != nil {
		m.marks.Remove(old)
	}
	return m.marks.PushBack(now)
}

// forgetPositions forgets the positions that are too old, and the oldest ones if there are too many.
func (m *Memory) forgetPositions(now time.Time) {
	for {
		m.mu.Lock()
		first := m.marks.Front()
		if first == nil || m.marks.Len() <= maxPositions && now.Sub(first.Value.(ackMark).at) < PositionKept {
			m.mu.Unlock()
			return
		}
		x := m.marks.Remove(first).(ackMark)
		m.mu.Unlock()
		m.with(x.channel, func(c *memoryChannel) {
			if c.acks[x.device].mark == first { // the position was not saved again since
				delete(c.acks, x.device)
			}
		})
	}
}

// Position implements [Positions].
func (n *memoryNode) Position(_ context.Context, name, device string) (at *Position, err error) {
	n.memory.with(name, func(c *memoryChannel) {
		if a, ok := c.acks[device]; ok {
			at = &a.at
		}
	})
	return at, nil
}
