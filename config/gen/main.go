// Command gen writes comments.gen.go: what the comments say about the structs of package config, so that the binary,
// which has no source, can print it. It runs in the directory of that package.
package main

import (
	"fmt"
	"os"

	"github.com/handfast/handfast/config/internal/comments"
)

func main() {
	text, err := comments.Generate(".")
	if err == nil {
		err = os.WriteFile("comments.gen.go", text, 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}
