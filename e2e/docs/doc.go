// Package docs runs the commands in the documentation.
//
// In README.md and docs/*.md, the info string of a fenced code block determines how the block is used. Blocks are processed from
// top to bottom:
//
//   - "sh" is run by bash as a reader would run it, with the binary that was just built; it must exit with 0.
//   - "sh serve" is one handfast command that keeps running. The following blocks run when it is ready. At the next such block,
//     or at the end of the document, it receives SIGTERM and must exit with 0.
//   - "sh serve HOST:PORT" is the same for another program, which is ready when a program listens on that address. It may exit with
//     any code after SIGTERM.
//   - "sh beside HOST:PORT" is one command of any program that keeps running to the end of the document; it is ready when a program
//     listens on that address.
//   - "text" directly after a block is the output of that block; "..." in it matches any text.
//   - "text part" is a part of the last command's output. Line breaks may differ.
//   - "yaml FILE", or "go", "csharp", "nginx" or any other language followed by a FILE, is saved in that file.
//   - A block with only a language is not used, except that "js" must be valid, and is run in Node if it imports the browser
//     client.
//
// Commands run with three differences from the documents: "go run ./cmd/handfast" and "go install" use the binary that was just built,
// other "go run" commands use this repository's modules, and all ports are replaced by free ports.
package docs
