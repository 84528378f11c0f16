// Package examples tests the programs in examples/ in browsers, as their users see them.
package examples
