package cli

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"reflect"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"github.com/handfast/handfast/config"
	"github.com/handfast/handfast/gateway"
	"github.com/handfast/handfast/internal/nextstep"
	"github.com/handfast/handfast/observe"
)

// serve runs a server until a signal arrives.
func serve(ctx context.Context, sys *System, f *serveFlags) error {
	if err := f.check(); err != nil {
		return err
	}
	if f.given("config") && f.config == "" {
		return usagef("name a file, or leave --config out", "--config is empty")
	}
	if f.config == "" && f.balance == nil {
		f.config = sys.Getenv(config.EnvFile)
	}
	var log *slog.Logger
	cfg, err := f.load(func(cfg *config.Config) { // logs the start before checks that may take long
		log = newLog(cfg.Log, sys.Stderr)
		log.Info(observe.EventStarting, "version", currentBuild().Version)
	})
	if err != nil {
		told := printProblems(sys.Stderr, err)
		if f.causedByFlags(err) {
			return errUsageReported
		}
		return told
	}
	defer redirectStdLog(log)()
	warnReadable(log, cfg)
	r := &reloader{flags: f, log: log, cfg: cfg, changed: make(chan struct{}, 1), requests: make(chan chan gateway.Reloaded),
		terminal: terminal(sys.Stderr), last: gateway.Reloaded{Since: time.Now()}}
	hups := make(chan os.Signal, 1)
	signal.Notify(hups, syscall.SIGHUP)
	defer signal.Stop(hups)
	r.watch(ctx)
	defer func() { r.unwatch() }()
	r.server, err = gateway.Open(ctx, gateway.Options{Config: cfg, Log: log, Stdout: sys.Stdout, Stderr: sys.Stderr, Reload: r.request})
	if err != nil {
		return printProblems(sys.Stderr, err)
	}
	defer r.server.Close()
	banner(sys, r.server, cfg.Listen)
	return r.run(ctx, sys, hups)
}

// reloader runs a server, and reloads its configuration when it changes.
type reloader struct {
	flags    *serveFlags
	server   *gateway.Server
	log      *slog.Logger
	cfg      *config.Config             // the configuration in use
	changed  chan struct{}              // signaled when a file of the configuration has changed
	requests chan chan gateway.Reloaded // requests for a reload by an operator, with a channel for the result
	last     gateway.Reloaded           // the last reload that changed a setting

	terminal *os.File // the destination of the log, if it is a terminal; otherwise nil

	files    *config.Watch // nil if the system does not support watching files
	watching sync.WaitGroup
	stop     context.CancelFunc // ends the watch
}

// run runs the server, and returns when it has ended.
func (r *reloader) run(ctx context.Context, sys *System, hups <-chan os.Signal) error {
	serving, stop := context.WithCancel(ctx)
	var background sync.WaitGroup
	defer background.Wait()
	defer stop()
	background.Go(func() { returnMemory(serving, readHeap, debug.FreeOSMemory) })
	served := make(chan error, 1)
	go func() { served <- r.server.Serve(serving) }()
	for signals := 0; ; {
		select {
		case err := <-served:
			if signals > 1 {
				return errInterrupted
			}
			return err
		case <-hups:
			if r.terminal != nil && terminal(r.terminal) == nil { // the terminal was closed
				stop()
				continue
			}
			r.reread(ctx)
		case result := <-r.requests:
			result <- r.reread(ctx)
		case <-r.changed:
			r.reload(ctx)
		case <-sys.Signals:
			if signals++; signals == 1 {
				stop()
			} else {
				r.server.Close()
			}
		}
	}
}

// request makes the goroutine of run reload the configuration, and returns the result. The admin listener calls request.
func (r *reloader) request(ctx context.Context) gateway.Reloaded {
	result := make(chan gateway.Reloaded, 1)
	select {
	case r.requests <- result:
		select {
		case done := <-result:
			return done
		case <-ctx.Done():
		}
	case <-ctx.Done():
	}
	return gateway.Reloaded{Error: "the reload did not finish in time", Hint: "check the server's log for the result"}
}

// reread reads all files again on request: the configuration file, and the files that it names.
func (r *reloader) reread(ctx context.Context) gateway.Reloaded {
	r.skipChanges()
	result := r.reload(ctx)
	if err := r.server.Reread(); err != nil {
		r.log.Error(observe.EventNotLoaded, observe.KeyError, err)
		if result.Error == "" && len(result.Problems) == 0 {
			result.Error, result.Hint = err.Error(), nextstep.Of(err)
		}
	}
	return result
}

// reload reads the configuration again. If it has a problem, nothing changes.
func (r *reloader) reload(ctx context.Context) gateway.Reloaded {
	result := r.last
	cfg, err := r.flags.load(nil)
	var changes []config.Change
	if err == nil {
		if changes = config.Diff(r.cfg, cfg); len(changes) == 0 {
			r.log.Info(observe.EventUnchanged, observe.KeyFile, r.flags.config)
			r.setConfig(ctx, cfg)
			return result
		}
		err = r.server.Reload(ctx, cfg)
	}
	if err != nil {
		hint := r.logError(err)
		if result.Problems = problemsOf(err); result.Problems == nil {
			result.Error, result.Hint = err.Error(), hint
		}
		return result
	}
	for _, c := range changes {
		r.log.Info(observe.EventChanged, observe.KeySetting, c.Path, "old", c.Old, "new", c.New)
	}
	r.log.Info(observe.EventReloaded, observe.KeyFile, r.flags.config)
	r.last = gateway.Reloaded{Since: time.Now(), Changes: changes, NextStart: gateway.NextStart(r.cfg, cfg)}
	r.setConfig(ctx, cfg)
	result = r.last
	result.Changed = true
	return result
}

// setConfig makes cfg the configuration in use, and watches its files.
func (r *reloader) setConfig(ctx context.Context, cfg *config.Config) {
	other := !reflect.DeepEqual(r.cfg.Files(), cfg.Files())
	r.cfg = cfg
	if other {
		r.unwatch()
		r.watch(ctx)
	}
}

// skipChanges discards changes of files that are about to be read, so that a signal after an edit causes only one reload.
func (r *reloader) skipChanges() {
	if r.files != nil {
		r.files.Skip()
	}
	select {
	case <-r.changed:
	default:
	}
}

// logError logs the reason why a configuration is not used and the next step, and returns that step.
func (r *reloader) logError(err error) (hint string) {
	problems := problemsOf(err)
	if problems == nil {
		r.log.Error(observe.EventNotLoaded, observe.KeyError, err)
		hint = nextstep.Of(err)
	}
	for _, p := range problems {
		r.log.Error(observe.EventNotLoaded, observe.KeyError, p) // it contains its next step
	}
	if hint == "" && r.flags.config != "" {
		hint = "correct and save it; handfast config check " + shellQuote(r.flags.config) + " shows what is wrong"
	}
	r.log.Warn(observe.EventKept, observe.KeyFile, r.flags.config, observe.KeyHint, hint)
	return hint
}

// watch sends to changed when a file of the configuration has changed.
func (r *reloader) watch(ctx context.Context) {
	ctx, r.stop = context.WithCancel(ctx)
	files, err := config.NewWatch(r.cfg)
	if r.files = files; err != nil {
		r.log.Warn("the configuration is read again on SIGHUP only", observe.KeyError, err)
		return
	}
	r.watching.Go(func() {
		files.Run(ctx, func() {
			select {
			case r.changed <- struct{}{}:
			default: // a reload is already pending
			}
		})
	})
}

// unwatch stops the watch, and waits until it has stopped.
func (r *reloader) unwatch() {
	r.stop()
	r.watching.Wait()
}
