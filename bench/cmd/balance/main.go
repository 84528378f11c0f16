//go:build linux

// Command balance compares load balancers in front of one WebSocket server: the CPU time per message and per handshake, and the
// memory per idle connection. With -behaviour it observes what happens to live connections instead. It builds handfast; HAProxy,
// nginx and Caddy are compared if they are installed.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/handfast/handfast/bench/internal/behave"
	"github.com/handfast/handfast/bench/internal/load"
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
	dir      string
	handfast string // handfast, peer and load are the paths of programs
	peer     string
	load     string
	to       string // the server's address
	rounds   int
	long     time.Duration
	idle     int
	settle   time.Duration
	tls      bool // whether clients connect to the balancer with TLS
	progress io.Writer

	serverTLS bool
}

// column is one kind of load.
type column struct {
	name string
	mode string
	size int
	n    int // number of connections
}

var columns = []column{
	{"128 B, µs", load.ModeEcho, 128, 100},
	{"16 KiB, µs", load.ModeEcho, 16 << 10, 100},
	{"handshake, µs", load.ModeUpgrade, 0, 16},
}

func run(ctx context.Context, args []string, out, progress io.Writer) error {
	b := bench{progress: progress}
	f := flag.NewFlagSet("balance", flag.ContinueOnError)
	f.IntVar(&b.rounds, "rounds", 3, "number of rounds for each balancer; the lowest result counts")
	f.DurationVar(&b.long, "for", 2*time.Second, "length of a round")
	f.IntVar(&b.idle, "idle", 3000, "number of idle connections; 0 skips this measurement")
	f.DurationVar(&b.settle, "settle", 20*time.Second, "how long idle connections wait before the memory is measured")
	f.BoolVar(&b.tls, "tls", false, "clients use TLS, which the balancer terminates")
	f.BoolVar(&b.serverTLS, "server-tls", false, "the server uses TLS, and the balancer verifies its certificate")
	other := f.String("other", "", "path of another handfast binary to compare, such as one of an earlier commit")
	only := f.String("balancers", "", "regular expression that selects balancers by name")
	var o behave.Options
	behaviour := f.Bool("behaviour", false, "observe what happens to connections while servers and configurations change, instead of the cost")
	f.IntVar(&o.Clients, "clients", 200, "with -behaviour: number of connected clients")
	f.DurationVar(&o.Window, "window", 10*time.Second, "with -behaviour: how long each event is observed")
	f.DurationVar(&o.Bound, "bound", 5*time.Second, "with -behaviour: how long old connections may stay, in seconds, where a balancer has such a setting")
	f.DurationVar(&o.Silence, "silence", 75*time.Second, "with -behaviour: how long a silent connection is observed; 0 skips it")
	f.StringVar(&o.Caddy, "caddy", "", "with -behaviour: path of the Caddy binary, if it is not the one in PATH")
	rows := f.String("rows", "", "with -behaviour: regular expression that selects rows")
	if err := f.Parse(args); err != nil {
		return err
	}
	which, err := regexp.Compile(*only)
	if err != nil {
		return err
	}
	if o.Rows, err = regexp.Compile(*rows); err != nil {
		return err
	}
	if b.dir, err = os.MkdirTemp("", "balance"); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	if *behaviour {
		o.Dir, o.Tools, o.Progress = b.dir, which, progress
		return b.behaviour(ctx, &o, out)
	}
	if err := errors.Join(b.build(ctx), b.certificate()); err != nil {
		return err
	}
	server, err := b.start(ctx, 1, b.peer, "-server", "handfast-events", "-tls="+strconv.FormatBool(b.serverTLS), "-cert", filepath.Join(b.dir, "both.pem"))
	if err != nil {
		return err
	}
	defer server.end()
	line, err := bufio.NewReader(server.out).ReadString('\n')
	if err != nil {
		return fmt.Errorf("the server printed nothing: %w", err)
	}
	_, b.to, _ = strings.Cut(strings.TrimSpace(line), " ")
	compared := kinds
	if *other != "" {
		k := kinds[0]
		k.name, k.program = "handfast, "+*other, *other
		compared = slices.Insert(slices.Clone(kinds), 1, k)
	}
	compared = slices.DeleteFunc(slices.Clone(compared), func(k kind) bool { return !which.MatchString(k.name) })
	return b.compare(ctx, compared, out)
}

// compare starts the balancers, and measures them.
func (b *bench) compare(ctx context.Context, kinds []kind, out io.Writer) error {
	var all []*balancer
	defer func() {
		for _, x := range all {
			x.end()
		}
	}()
	for _, k := range kinds {
		x, err := b.balancer(ctx, k)
		if errors.Is(err, exec.ErrNotFound) {
			fmt.Fprintf(b.progress, "%s is not installed\n", k.name)
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: %w", k.name, err)
		}
		all = append(all, x)
	}
	return b.table(ctx, all, out)
}

// behaviour observes the balancers.
func (b *bench) behaviour(ctx context.Context, o *behave.Options, out io.Writer) (err error) {
	if o.Handfast, err = b.program(ctx, "cmd/handfast"); err != nil {
		return err
	}
	if o.Upstream, err = b.program(ctx, "bench/cmd/upstream"); err != nil {
		return err
	}
	return o.Run(ctx, out)
}

func (b *bench) build(ctx context.Context) error {
	for program, pkg := range map[*string]string{&b.handfast: "cmd/handfast", &b.peer: "bench/cmd/peer", &b.load: "bench/cmd/load"} {
		var err error
		if *program, err = b.program(ctx, pkg); err != nil {
			return err
		}
	}
	return nil
}

// program builds one program.
func (b *bench) program(ctx context.Context, pkg string) (string, error) {
	file := filepath.Join(b.dir, path.Base(pkg))
	build := exec.CommandContext(ctx, "go", "build", "-o", file, "github.com/handfast/handfast/"+pkg)
	build.Stderr = b.progress
	if err := build.Run(); err != nil {
		return "", fmt.Errorf("build %s: %w", pkg, err)
	}
	return file, nil
}

// table performs all measurements, and prints one row per balancer.
func (b *bench) table(ctx context.Context, all []*balancer, out io.Writer) error {
	best := map[[2]string]float64{} // microseconds per operation, by balancer and column
	for range b.rounds {
		for _, c := range columns { // one column at a time, so that other load on the machine affects all balancers equally
			for _, x := range all {
				r, err := b.measure(ctx, x, c)
				if err != nil {
					return fmt.Errorf("%s, %s: %w", x.name, c.name, err)
				}
				at, us := [2]string{x.name, c.name}, float64(r.CPUPerOp())/1e3
				fmt.Fprintf(b.progress, "%-10s %-14s %6.1f µs of CPU, p99 %v\n", x.name, c.name, us, r.P99.Round(time.Microsecond))
				if was, ok := best[at]; !ok || us < was {
					best[at] = us
				}
			}
		}
	}
	fmt.Fprint(out, "| balancer |")
	for _, c := range columns {
		fmt.Fprintf(out, " %s |", c.name)
	}
	fmt.Fprintf(out, " idle, KiB |\n|---|%s---|\n", strings.Repeat("---|", len(columns)))
	idle, err := b.waiting(ctx, all)
	if err != nil {
		return fmt.Errorf("idle: %w", err)
	}
	for i, x := range all {
		fmt.Fprintf(out, "| %s |", x.version)
		for _, c := range columns {
			fmt.Fprintf(out, " %.1f |", best[[2]string{x.name, c.name}])
		}
		fmt.Fprintf(out, " %.2f |\n", idle[i])
	}
	return nil
}

// measure runs one round of measurements.
func (b *bench) measure(ctx context.Context, x *balancer, c column) (r load.Result, err error) {
	p, err := b.start(ctx, 1, b.load, "-addr", x.addr, "-tls="+strconv.FormatBool(b.tls), "-no-origin="+strconv.FormatBool(b.tls || b.serverTLS), "-mode", c.mode, "-conns", strconv.Itoa(c.n), "-size", strconv.Itoa(c.size),
		"-warm", (b.long / 4).String(), "-for", b.long.String(), "-pid", strconv.Itoa(x.cmd.Process.Pid))
	if err != nil {
		return r, err
	}
	defer p.end()
	line, err := bufio.NewReader(p.out).ReadString('\n')
	if err != nil {
		return r, fmt.Errorf("the load printed nothing: %w: %s", err, p.log)
	}
	return r, json.Unmarshal([]byte(line), &r)
}

// waiting returns the memory per idle connection, in KiB, for each balancer. It measures the growth from b.idle/2 to b.idle*3/2
// connections, so that memory that is already free for the first connections does not hide the cost of the others. The connections of all
// balancers are opened in the same period, with the same time before each measurement, because handfast returns memory to the system after
// a quiet period. Because the clients do not answer pings, the server closes their connections after 50 seconds; therefore twice the time
// before a measurement must be less than 50 seconds.
func (b *bench) waiting(ctx context.Context, all []*balancer) ([]float64, error) {
	each := make([]float64, len(all))
	if b.idle == 0 {
		return each, nil
	}
	for _, step := range []struct {
		conns int
		sign  float64
	}{{b.idle / 2, -1}, {b.idle, 1}} {
		for _, x := range all {
			p, err := b.start(ctx, 1, b.load, "-addr", x.addr, "-tls="+strconv.FormatBool(b.tls), "-no-origin="+strconv.FormatBool(b.tls || b.serverTLS), "-mode", load.ModeIdle, "-conns", strconv.Itoa(step.conns), "-size", "16")
			if err != nil {
				return nil, err
			}
			defer p.end()
			if _, err := bufio.NewReader(p.out).ReadString('\n'); err != nil {
				return nil, fmt.Errorf("%s: the load printed nothing: %w: %s", x.name, err, p.log)
			}
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(b.settle):
		}
		for i, x := range all {
			resident, err := load.Resident(x.cmd.Process.Pid)
			if err != nil {
				return nil, err
			}
			each[i] += step.sign * float64(resident) / float64(b.idle) / 1024
		}
	}
	return each, nil
}

// process is a running program, on one processor.
type process struct {
	cmd *exec.Cmd
	in  io.Closer
	out io.Reader
	log *strings.Builder
}

func (b *bench) start(ctx context.Context, cpu int, program string, args ...string) (*process, error) {
	p := &process{cmd: exec.CommandContext(ctx, program, args...), log: &strings.Builder{}}
	p.cmd.Dir, p.cmd.Stderr = b.dir, p.log
	in, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.in, p.out = in, out
	return p, load.OnProcessor(cpu, p.cmd.Start)
}

// end terminates the program, and waits until it has exited.
func (p *process) end() {
	p.in.Close()
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // fails if the program has already exited
	late := time.AfterFunc(10*time.Second, func() { _ = p.cmd.Process.Kill() })
	defer late.Stop()
	_, _ = io.Copy(io.Discard, p.out)
	_ = p.cmd.Wait() // returns an error, because a signal has terminated the program
}
