package websocket

import "iter"

// ring is a doubly linked list whose links lie in its elements: one that comes and goes costs no allocation.
type ring[T interface {
	comparable
	linked[T]
}] struct {
	head T
	none T // the zero value
}

type links[T any] struct{ prev, next T }

type linked[T any] interface{ links() *links[T] }

var (
	_ linked[*arrival] = (*arrival)(nil)
	_ linked[*session] = (*session)(nil)
)

func (r *ring[T]) add(e T) {
	l := e.links()
	l.prev, l.next = r.none, r.head
	if r.head != r.none {
		r.head.links().prev = e
	}
	r.head = e
}

func (r *ring[T]) remove(e T) {
	l := e.links()
	if l.prev != r.none {
		l.prev.links().next = l.next
	} else {
		r.head = l.next
	}
	if l.next != r.none {
		l.next.links().prev = l.prev
	}
	l.prev, l.next = r.none, r.none
}

// all yields the elements, the youngest first. None may come or go meanwhile.
func (r *ring[T]) all() iter.Seq[T] {
	return func(yield func(T) bool) {
		for e := r.head; e != r.none && yield(e); e = e.links().next {
		}
	}
}
