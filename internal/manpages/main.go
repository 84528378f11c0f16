// Manpages writes files that packages install with the binary: a manual page for each command, and shell completions.
//
//	go run ./internal/manpages DIR
//
// The files handfast.1, handfast-serve.1 and so on are written to DIR/man; handfast.bash, handfast.zsh, handfast.fish and
// handfast.ps1 are written to DIR/completions. The date of the pages is SOURCE_DATE_EPOCH, or today.
package main

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"github.com/handfast/handfast/cli"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: manpages DIR")
		os.Exit(2)
	}
	if err := write(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "manpages:", err)
		os.Exit(1)
	}
}

func write(dir string) error {
	man, completions := filepath.Join(dir, "man"), filepath.Join(dir, "completions")
	for _, d := range []string{man, completions} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return err
		}
	}
	root := cli.Command()
	for shell, write := range map[string]func(string) error{
		"bash": func(name string) error { return root.GenBashCompletionFileV2(name, true) },
		"zsh":  root.GenZshCompletionFile,
		"fish": func(name string) error { return root.GenFishCompletionFile(name, true) },
		"ps1":  root.GenPowerShellCompletionFileWithDesc,
	} {
		if err := write(filepath.Join(completions, "handfast."+shell)); err != nil {
			return err
		}
	}
	seconds, err := strconv.ParseInt(cmp.Or(os.Getenv("SOURCE_DATE_EPOCH"), strconv.FormatInt(time.Now().Unix(), 10)), 10, 64)
	if err != nil {
		return fmt.Errorf("SOURCE_DATE_EPOCH: %w", err)
	}
	date := time.Unix(seconds, 0).UTC()
	literal(root)
	root.DisableAutoGenTag = true
	return doc.GenManTree(root, &doc.GenManHeader{Section: "1", Date: &date, Source: "handfast", Manual: "handfast"}, man)
}

// marks escapes the characters that Markdown interprets, because the generator expects Markdown.
var marks = strings.NewReplacer(`\`, `\\`, "_", `\_`, "*", `\*`, "`", "\\`", "<", `\<`, ">", `\>`, "[", `\[`, "]", `\]`, "#", `\#`)

// literal escapes the texts of a command and its subcommands, so that they appear as in the help.
func literal(cmd *cobra.Command) {
	cmd.Long = marks.Replace(cmd.Long)
	for _, c := range cmd.Commands() {
		literal(c)
	}
}
