// Package docs runs what the documents tell people to type.
//
// In README.md and docs/*.md a block marked "sh" is run by bash, from top to bottom as a reader would, with the binary
// that was just built; it has to end with 0. A block marked "sh serve" is one command that keeps running: the blocks
// behind it find it ready, and at the next such block, or the end of the document, it gets SIGTERM and has to exit
// with 0. A "text" block right behind a block is what that one prints; "..." in it stands for anything.
//
// Two things differ from what is written: "go run ./cmd/handfast" is the built binary, and ports are free ones.
package docs
