package config

import (
	"iter"

	"github.com/handfast/handfast/config/internal/tree"
)

// Methods yields every method with its path: those under auth, such as auth.users, and inline methods, such as endpoints[0].auth[1].
func (c *Config) Methods() iter.Seq2[string, *Method] {
	return func(yield func(string, *Method) bool) {
		more := true
		tree.Each(c, func(path string, p any) {
			m, ok := p.(*Method)
			if ref, in := p.(*AuthRef); in {
				m, ok = ref.Method, ref.Method != nil
			}
			more = more && (!ok || yield(path, m))
		})
	}
}
