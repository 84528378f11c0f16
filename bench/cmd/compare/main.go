//go:build linux

// Command compare runs every server under every load and prints a Markdown table with the cost per operation. Without flags it
// takes less than three minutes.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/handfast/handfast/bench/internal/compare"
	"github.com/handfast/handfast/bench/internal/peers"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out, progress io.Writer) error {
	var (
		f       = flag.NewFlagSet("compare", flag.ContinueOnError)
		full    = f.Bool("full", false, "all modes, all servers and more rounds: about half an hour")
		rounds  = f.Int("rounds", 0, "rounds of each server in each mode; 0 means 3, or 7 with -full")
		length  = f.Duration("for", 0, "length of a round; 0 means 200ms, or 500ms with -full")
		only    = f.String("modes", "", "regular expression that selects the modes, including those that are not run by default")
		servers = f.String("servers", "", "comma-separated names of the servers, including those that are not run by default; NAME@PROGRAM is another build of the peer command")
		least   = f.Bool("least", false, "report the cheapest round instead of the median: for a machine with other load")
		details = f.Bool("details", false, "also print operations per second and latencies")
	)
	if err := f.Parse(args); err != nil {
		return err
	}
	o := compare.Options{Least: *least, Rounds: 3, Warm: 100 * time.Millisecond, For: 200 * time.Millisecond}
	o.Modes, o.Servers = compare.Quick()
	if *full {
		o.Rounds, o.For = 7, 500*time.Millisecond
		o.Modes, o.Servers = compare.Modes(), peers.All()
	}
	if *rounds > 0 {
		o.Rounds = *rounds
	}
	if *length > 0 {
		o.For = *length
	}
	if err := choose(&o, *only, *servers); err != nil {
		return err
	}
	o.Tell = func(s string) { fmt.Fprintln(progress, s) }
	t, err := measure(ctx, o)
	if err != nil {
		return err
	}
	if err := t.Markdown(out); err != nil || !*details {
		return err
	}
	fmt.Fprintln(out)
	return t.Details(out)
}

// choose restricts o to the selected modes and servers.
func choose(o *compare.Options, modes, servers string) error {
	if modes != "" {
		re, err := regexp.Compile(modes)
		if err != nil {
			return err
		}
		o.Modes = slices.DeleteFunc(compare.Modes(), func(m compare.Mode) bool { return !re.MatchString(m.Name) })
	}
	if servers != "" {
		o.Servers = nil
		for name := range strings.SplitSeq(servers, ",") {
			name, program, other := strings.Cut(name, "@")
			p, ok := peers.Find(name)
			if other { // another build may have servers that this build does not have
				p.Name, p.Program, ok = name, program, program != ""
			}
			if !ok {
				return fmt.Errorf("compare: no server %q", name)
			}
			o.Servers = append(o.Servers, p)
		}
	}
	return nil
}

func measure(ctx context.Context, o compare.Options) (*compare.Table, error) {
	dir, err := os.MkdirTemp("", "compare")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	b, err := compare.Build(ctx, dir)
	if err != nil {
		return nil, err
	}
	return b.Run(ctx, o)
}
