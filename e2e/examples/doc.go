// Package examples tests the pages of the programs in examples/ in a browser.
package examples
