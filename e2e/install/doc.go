// Package install tests how users install handfast: from a release made from the tree, and with go install and go get.
package install
