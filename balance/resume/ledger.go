package resume

import "bytes"

// itemOverhead is the size counted for each remembered item, in addition to its text.
const itemOverhead = 128

// command is a command that has no reply yet.
type command[T any] struct {
	id      uint64
	own     bool   // sent by the session itself, to resume
	channel string // the channel that the command concerns
	text    []byte // the command as it was sent; nil if it must not be sent again
	data    T      // the data that the protocol needs
}

// ledger holds the unanswered commands, and limits the size of the remembered data.
type ledger[T any] struct {
	opts    Options
	failure error // why the connection can no longer be resumed; nil if it can
	size    int   // bytes remembered
	waiting []command[T]
	firstID uint64 // the first ID for the session's own commands; further IDs count down from firstID
	lastID  uint64 // the last ID that ownID has returned
}

func (c *command[T]) size() int { return itemOverhead + len(c.text) + len(c.channel) }

// add records a command that waits for its reply. It returns false if the limit is reached.
func (l *ledger[T]) add(c command[T]) bool {
	if len(l.waiting) >= l.opts.Unanswered || l.size+c.size() > l.opts.Bytes {
		l.failure = ErrTooMuch
		return false
	}
	l.size += c.size()
	l.waiting = append(l.waiting, c)
	return true
}

// hasRoom reports whether one more item may be remembered. If not, the connection can no longer be resumed.
func (l *ledger[T]) hasRoom(number, size int) bool {
	if number >= l.opts.Subscriptions || l.size+size > l.opts.Bytes {
		l.failure = ErrTooMuch
		return false
	}
	return true
}

// grow adds to the number of bytes remembered, or subtracts from it.
func (l *ledger[T]) grow(bytes int) {
	if l.size += bytes; l.size > l.opts.Bytes && bytes > 0 {
		l.failure = ErrTooMuch
	}
}

// find returns the index of the command that waits for the reply with an ID, or -1 if there is none.
func (l *ledger[T]) find(id uint64) int {
	for i := range l.waiting {
		if l.waiting[i].id == id {
			return i
		}
	}
	return -1
}

// take removes and returns the command that waits for the reply with an ID.
func (l *ledger[T]) take(id uint64) (c command[T], ok bool) {
	i := l.find(id)
	if i < 0 {
		return c, false
	}
	c = l.waiting[i]
	l.size -= c.size()
	copy(l.waiting[i:], l.waiting[i+1:])
	l.waiting[len(l.waiting)-1] = command[T]{}
	l.waiting = l.waiting[:len(l.waiting)-1]
	return c, true
}

// ownID returns an ID that no waiting command has.
func (l *ledger[T]) ownID() uint64 {
	for {
		if l.lastID--; l.lastID < l.firstID/2 || l.lastID > l.firstID {
			l.lastID = l.firstID
		}
		if l.find(l.lastID) < 0 {
			return l.lastID
		}
	}
}

// takeClientCommands returns the commands of the client, for a new server, and forgets those of an incomplete resume.
func (l *ledger[T]) takeClientCommands() []command[T] {
	var clients []command[T]
	for _, c := range l.waiting {
		if c.own {
			l.size -= c.size()
		} else {
			clients = append(clients, c)
		}
	}
	l.waiting = nil
	return clients
}

// addOwn records a command of the session itself. The limits do not apply: the session decides how many there are.
func (l *ledger[T]) addOwn(c command[T]) {
	c.own = true
	l.size += c.size()
	l.waiting = append(l.waiting, c)
}

// cloneShared returns text in memory that can be kept: a copy, if it shares the memory of a message.
func cloneShared(text, message []byte) []byte {
	if len(text) > 0 && len(text) == len(message) && &text[0] == &message[0] {
		return bytes.Clone(text)
	}
	return text
}
