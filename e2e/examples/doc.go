// Package examples holds the tests of the programs in examples/ as their users see them: in browsers.
package examples
