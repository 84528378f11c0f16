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
	mark *list.Element // contains an ackRecord
}

// ackRecord records when a position was last saved.
type ackRecord struct {
	channel, device string
	at              time.Time
}

// SavePosition implements [Positions].
func (n *memoryNode) SavePosition(_ context.Context, name, device string, p Position) error {
	m, now := n.memory, time.Now()
	m.withChannel(name, func(c *memoryChannel) {
		old, ok := c.acks[device]
		if ok && old.at.Epoch == p.Epoch && old.at.Offset >= p.Offset {
			return
		}
		if c.acks == nil {
			c.acks = map[string]memoryAck{}
		}
		c.acks[device] = memoryAck{p, m.recordAck(old.mark, ackRecord{name, device, now})}
	})
	m.forgetPositions(now)
	return nil
}

// recordAck records that a position was saved. It replaces old, which may be nil.
func (m *Memory) recordAck(old *list.Element, now ackRecord) *list.Element {
	m.mu.Lock()
	defer m.mu.Unlock()
	if old != nil {
		m.acks.Remove(old)
	}
	return m.acks.PushBack(now)
}

// forgetPositions forgets the positions that are too old, and the oldest ones if there are too many.
func (m *Memory) forgetPositions(now time.Time) {
	for {
		m.mu.Lock()
		first := m.acks.Front()
		if first == nil || m.acks.Len() <= maxPositions && now.Sub(first.Value.(ackRecord).at) < PositionKept {
			m.mu.Unlock()
			return
		}
		x := m.acks.Remove(first).(ackRecord)
		m.mu.Unlock()
		m.withChannel(x.channel, func(c *memoryChannel) {
			if c.acks[x.device].mark == first { // the position was not saved again since
				delete(c.acks, x.device)
			}
		})
	}
}

// Position implements [Positions].
func (n *memoryNode) Position(_ context.Context, name, device string) (at *Position, err error) {
	n.memory.withChannel(name, func(c *memoryChannel) {
		if a, ok := c.acks[device]; ok {
			at = &a.at
		}
	})
	return at, nil
}
