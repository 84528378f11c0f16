// Package docs runs the commands in the documentation.
//
// In README.md and docs/*.md, the info string of a fenced code block determines how the block is used. Blocks are processed from
// top to bottom:
//
//   - "sh" is run by bash as a reader would, with the binary that was just built; it has to end with 0.
//   - "sh serve" is one command of ours that keeps running: the blocks behind it find it ready, and at the next such block,
//     or the end of the document, it gets SIGTERM and has to exit with 0.
//   - "sh serve HOST:PORT" is the same with a program of another kind: it is ready when something listens there, and may end in any way
//     at SIGTERM.
//   - "sh beside HOST:PORT" is one command of anybody that keeps running to the end of the document; it is ready when
//     something listens there.
//   - "text" right behind a block is what that one prints; "..." in it stands for anything.
//   - "text part" is a part of what the last command printed, wherever lines are broken.
//   - "yaml FILE", or "go", "csharp", "nginx" or anything else with a FILE behind it, is saved in that file. What is
//     marked with a language alone is only shown, except that "js" has to parse, and that what imports the browser's client is run in Node.
//
// Three things differ from the documents: "go run ./cmd/handfast" runs the built binary, which "go install" finds installed; other
// "go run" commands use this repository's modules; and ports are free ones.
package docs
