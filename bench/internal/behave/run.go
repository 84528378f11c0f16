package behave

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"time"
)

// Options configure a run. All fields are required unless their comments say otherwise.
type Options struct {
	Dir      string // a directory for temporary files
	Handfast string // the path of the program
	Upstream string // the path of the program bench/cmd/upstream
	Caddy    string // the path of the program; "" means the one in PATH

	Clients int           // number of connected clients
	Window  time.Duration // observation time of each event
	Bound   time.Duration // how long old processes and connections may stay, in whole seconds
	Silence time.Duration // observation time of a silent connection; 0 skips it

	Tools    *regexp.Regexp // nil means all
	Rows     *regexp.Regexp // nil means all
	Progress io.Writer
}

// column contains the results of one tool.
type column struct {
	title string
	cells []string // the result of each row
}

// Run observes the installed balancers concurrently and prints a table. The error joins the errors of all cells.
func (o *Options) Run(ctx context.Context, out io.Writer) error {
	var columns []*column
	var running sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	for _, t := range tools {
		if o.Tools != nil && !o.Tools.MatchString(t.name) {
			continue
		}
		path, err := o.program(t)
		if err != nil {
			fmt.Fprintf(o.Progress, "%s is not installed\n", t.name)
			continue
		}
		c := &column{title: strings.TrimSpace(t.name + " " + versionOf(ctx, path, t.version)), cells: make([]string, len(rows))}
		columns = append(columns, c)
		observe := func(i int) {
			text, err := o.play(ctx, t, path, rows[i])
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				errs = append(errs, fmt.Errorf("%s, %s: %w", t.name, rows[i].name, err))
			}
			c.cells[i] = text
			fmt.Fprintf(o.Progress, "%s, %s: %s\n", t.name, rows[i].name, text)
		}
		running.Go(func() {
			for i, r := range rows {
				switch {
				case !o.wants(r):
				case r.packed: // such a row takes a long time, but little CPU time
					running.Go(func() { observe(i) })
				default:
					observe(i)
				}
			}
		})
	}
	running.Wait()
	o.table(out, columns)
	return errors.Join(errs...)
}

func (o *Options) program(t tool) (string, error) {
	switch {
	case t.program == "":
		return o.Handfast, nil
	case t.name == "Caddy" && o.Caddy != "":
		return o.Caddy, nil
	}
	return exec.LookPath(t.program)
}

func (o *Options) wants(r row) bool {
	return (o.Silence > 0 || !r.packed) && (o.Rows == nil || o.Rows.MatchString(r.name))
}

func (o *Options) table(out io.Writer, columns []*column) {
	fmt.Fprint(out, "| what happens |")
	for _, c := range columns {
		fmt.Fprintf(out, " %s |", c.title)
	}
	fmt.Fprintf(out, "\n|---|%s\n", strings.Repeat("---|", len(columns)))
	for i, r := range rows {
		if !o.wants(r) {
			continue
		}
		fmt.Fprintf(out, "| %s |", r.name)
		for _, c := range columns {
			fmt.Fprintf(out, " %s |", c.cells[i])
		}
		fmt.Fprintln(out)
	}
}
