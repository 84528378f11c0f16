//go:build linux

// Command channels compares servers with channels: the cost of a delivery, the memory of an idle client, and how fast clients reconnect
// after their connections were cut. It builds handfast and a server with the centrifuge library. For handfast's engines it builds and
// starts a NATS server, and starts an installed redis-server. Flags add another build of handfast, Centrifugo, socket.io and soketi to
// the comparison.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/handfast/handfast/bench/internal/fanout"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// bench is one run of the command.
type bench struct {
	programs fanout.Programs
	rounds   int
	long     time.Duration
	sizes    []int
	idle     int
	storm    int
	kinds    []fanout.Kind
	progress io.Writer
}

func run(ctx context.Context, args []string, out, progress io.Writer) error {
	b := bench{sizes: []int{1, 100, 1000, 10_000}, progress: progress}
	f := flag.NewFlagSet("channels", flag.ContinueOnError)
	f.StringVar(&b.programs.Centrifugo, "centrifugo", "", "the `program` of Centrifugo 6")
	f.StringVar(&b.programs.SocketIO, "socketio", "", "a `directory` with node_modules/socket.io")
	f.StringVar(&b.programs.Soketi, "soketi", "", "a `directory` with node_modules/@soketi/soketi")
	f.StringVar(&b.programs.Redis, "redis", "", "the `URL` of a Redis that may be emptied; without it an installed redis-server is started")
	f.StringVar(&b.programs.Before, "before", "", "the `program` of another build of handfast, whose rounds alternate with those of this one")
	f.IntVar(&b.rounds, "rounds", 3, "rounds of each server, the cheapest of which counts")
	f.DurationVar(&b.long, "for", 2*time.Second, "length of a round")
	f.IntVar(&b.idle, "idle", 3000, "idle clients; 0 skips them")
	f.IntVar(&b.storm, "storm", 5000, "clients whose connections are cut; 0 skips them")
	most := f.Int("subscribers", 10_000, "maximum number of subscribers of a channel")
	only := f.String("servers", "", "regular expression that selects the servers")
	if err := f.Parse(args); err != nil {
		return err
	}
	which, err := regexp.Compile(*only)
	if err != nil {
		return err
	}
	b.sizes = slices.DeleteFunc(b.sizes, func(n int) bool { return n > *most })
	dir, err := os.MkdirTemp("", "channels")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b.programs.Handfast, b.programs.Centrifuge = filepath.Join(dir, "handfast"), filepath.Join(dir, "centrifuge")
	nats := filepath.Join(dir, "nats-server")
	for program, pkg := range map[string]string{
		b.programs.Handfast: "github.com/handfast/handfast/cmd/handfast", b.programs.Centrifuge: "github.com/handfast/handfast/bench/cmd/centrifuge",
		nats: "github.com/nats-io/nats-server/v2",
	} {
		build := exec.CommandContext(ctx, "go", "build", "-o", program, pkg)
		build.Stderr = progress
		if err := build.Run(); err != nil {
			return fmt.Errorf("build %s: %w", pkg, err)
		}
	}
	if err := fanout.Stay(1); err != nil {
		return err
	}
	var stopNATS func()
	if b.programs.NATS, stopNATS, err = startNATS(ctx, nats, dir); err != nil {
		return err
	}
	defer stopNATS()
	if program, err := exec.LookPath("redis-server"); err == nil && b.programs.Redis == "" {
		var stopRedis func()
		if b.programs.Redis, stopRedis, err = startRedis(ctx, program, dir); err != nil {
			return err
		}
		defer stopRedis()
	}
	for _, k := range fanout.Kinds(b.programs) {
		redis := strings.Contains(k.Name, "Redis")
		if _, err := k.Command(dir, "127.0.0.1:0"); err == nil && which.MatchString(k.Name) && (!redis || b.programs.Redis != "") {
			b.kinds = append(b.kinds, k)
		}
	}
	return b.table(ctx, out)
}

// table performs all measurements, and prints one row per server.
func (b *bench) table(ctx context.Context, out io.Writer) error {
	head := []string{"server"}
	for _, n := range b.sizes {
		head = append(head, fmt.Sprintf("%d subscribers, 20/s", n), fmt.Sprintf("%d, back to back", n))
	}
	head = append(head, "idle, KiB", "storm, s", "storm, µs a client", "clients' own", "late, missed, twice")
	fmt.Fprintf(out, "| %s |\n|%s\n", strings.Join(head, " | "), strings.Repeat("---|", len(head)))
	rows := make([][]string, len(b.kinds))
	for i, k := range b.kinds {
		rows[i] = []string{k.Name}
	}
	// The columns are measured one at a time, so that other load on the machine affects all servers equally.
	for _, n := range b.sizes {
		for _, rate := range []float64{20, 0} {
			if err := b.deliveries(ctx, n, rate, rows); err != nil {
				return err
			}
		}
	}
	if err := b.others(ctx, rows); err != nil {
		return err
	}
	for _, row := range rows {
		fmt.Fprintf(out, "| %s |\n", strings.Join(row, " | "))
	}
	return nil
}

// with starts a server, calls do, and stops the server. Errors are only logged, so the cell of the table remains empty.
func (b *bench) with(ctx context.Context, k fanout.Kind, do func(*fanout.Server) error) error {
	s, err := fanout.Start(ctx, k, 0)
	if err == nil {
		err = errors.Join(do(s), s.Stop())
	}
	if err != nil {
		fmt.Fprintf(b.progress, "%s: %v\n", k.Name, err)
	}
	return ctx.Err()
}

// deliveries adds a column: microseconds of CPU time per delivery, and the median and 99th percentile of the delivery time.
func (b *bench) deliveries(ctx context.Context, n int, rate float64, rows [][]string) error {
	best := make([]fanout.Delivery, len(b.kinds))
	for range b.rounds {
		for i, k := range b.kinds {
			err := b.with(ctx, k, func(s *fanout.Server) error {
				d, err := s.Deliver(ctx, n, rate, b.long)
				if err == nil && (best[i].CPU == 0 || d.CPU < best[i].CPU) {
					best[i] = d
				}
				return err
			})
			if err != nil {
				return err
			}
		}
	}
	for i, d := range best {
		cell := "-"
		if d.CPU > 0 {
			cell = fmt.Sprintf("%.1f (%s, %s)", float64(d.CPU.Nanoseconds())/1000, d.P50.Round(10*time.Microsecond), d.P99.Round(10*time.Microsecond))
		}
		if d.Late+d.Missed > 0 {
			cell += fmt.Sprintf(", %d late, %d missed", d.Late, d.Missed)
		}
		rows[i] = append(rows[i], cell)
	}
	fmt.Fprintf(b.progress, "%d subscribers, rate %g: done\n", n, rate)
	return nil
}

// others adds the columns for memory and for reconnecting all clients, with the minimum of all rounds.
func (b *bench) others(ctx context.Context, rows [][]string) error {
	idle, storms := make([]int64, len(b.kinds)), make([]fanout.Storm, len(b.kinds))
	for range b.rounds {
		for i, k := range b.kinds {
			if b.idle == 0 {
				break
			}
			err := b.with(ctx, k, func(s *fanout.Server) error {
				each, err := s.Idle(ctx, b.idle)
				if err == nil && (idle[i] == 0 || each < idle[i]) {
					idle[i] = each
				}
				return err
			})
			if err != nil {
				return err
			}
		}
		for i, k := range b.kinds {
			if b.storm == 0 || k.Protocol.Position == nil {
				continue
			}
			err := b.with(ctx, k, func(s *fanout.Server) error {
				r, err := s.Storm(ctx, b.storm, 500, 200)
				if err == nil {
					storms[i] = storms[i].Least(r)
				}
				return err
			})
			if err != nil {
				return err
			}
		}
	}
	for i, s := range storms {
		cells := []string{"-", "-", "-", "-", "-"}
		if idle[i] > 0 {
			cells[0] = fmt.Sprintf("%.1f", float64(idle[i])/1024)
		}
		if s.CPU > 0 {
			cells[1], cells[2], cells[3] = fmt.Sprintf("%.2f", s.Took.Seconds()), fmt.Sprint(s.CPU.Microseconds()), fmt.Sprint(s.Clients.Microseconds())
			cells[4] = fmt.Sprintf("%d, %d, %d", s.Late, s.Missed, s.Twice)
		}
		rows[i] = append(rows[i], cells...)
	}
	return nil
}
