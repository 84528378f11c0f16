// Package install holds the tests of how users get handfast: a release made from the tree, and what go install and go get
// make of it.
package install
