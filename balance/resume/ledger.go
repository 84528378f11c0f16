package resume

import "bytes"

// perItem is what is counted for something that is remembered, beyond its text.
const perItem = 128

// command is a command without a reply.
type command[T any] struct {
	id      uint64
	resumes bool   // it is one of the session itself, to resume
	channel string // that it is about
	text    []byte // as it was sent; nil if it must not be sent again
	is      T      // what the protocol needs to know of it
}

// ledger has the commands that wait for a reply, and the bounds of what is remembered.
type ledger[T any] struct {
	opts    Options
	no      error // why the connection cannot be resumed any more; nil if it can
	size    int   // bytes that are remembered
	waiting []command[T]
	first   uint64 // the first ID of the session itself; the others count down from it
	own     uint64 // the last one
}

func (c *command[T]) size() int { return perItem + len(c.text) + len(c.channel) }

// wait notes that a command waits for its reply. It returns false if that is too much to remember.
func (l *ledger[T]) wait(c command[T]) bool {
	if len(l.waiting) >= l.opts.Unanswered || l.size+c.size() > l.opts.Bytes {
		l.no = ErrTooMuch
		return false
	}
	l.size += c.size()
	l.waiting = append(l.waiting, c)
	return true
}

// room reports whether something else may be remembered. If not, the connection cannot be resumed.
func (l *ledger[T]) room(number, size int) bool {
	if number >= l.opts.Subscriptions || l.size+size > l.opts.Bytes {
		l.no = ErrTooMuch
		return false
	}
	return true
}

// grow notes that what is remembered has so many more bytes, or fewer.
func (l *ledger[T]) grow(bytes int) {
	if l.size += bytes; l.size > l.opts.Bytes && bytes > 0 {
		l.no = ErrTooMuch
	}
}

// find returns which command waits for the reply with an ID, -1 if none does.
func (l *ledger[T]) find(id uint64) int {
	for i := range l.waiting {
		if l.waiting[i].id == id {
			return i
		}
	}
	return -1
}

// take returns the command that waits for the reply with an ID. It waits no longer.
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
		if l.own--; l.own < l.first/2 || l.own > l.first {
			l.own = l.first
		}
		if l.find(l.own) < 0 {
			return l.own
		}
	}
}

// restart returns the commands of the client, for a new server, and forgets those of a resume that was not completed.
func (l *ledger[T]) restart() []command[T] {
	var clients []command[T]
	for _, c := range l.waiting {
		if c.resumes {
			l.size -= c.size()
		} else {
			clients = append(clients, c)
		}
	}
	l.waiting = nil
	return clients
}

// resume notes a command of the session itself, whatever the bounds are: the session decides how many there are.
func (l *ledger[T]) resume(c command[T]) {
	c.resumes = true
	l.size += c.size()
	l.waiting = append(l.waiting, c)
}

// kept returns text for as long as it is needed: a copy, if it shares the memory of a message.
func kept(text, message []byte) []byte {
	if len(text) > 0 && len(text) == len(message) && &text[0] == &message[0] {
		return bytes.Clone(text)
	}
	return text
}
