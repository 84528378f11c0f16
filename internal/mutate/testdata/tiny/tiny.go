// Package tiny is the package that the tests of command mutate mutate.
package tiny

// Positive reports whether n is greater than zero. Its test leaves out zero.
func Positive(n int) bool { return n > 0 }

// Count counts to n.
func Count(n int) string {
	text := ""
	for range n {
		text = text + "I"
	}
	return text
}

// Larger returns the larger one of two numbers.
func Larger(a, b int) int {
	if a > b {
		return a
	}
	return b
}
