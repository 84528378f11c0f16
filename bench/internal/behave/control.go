package behave

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"text/template"
	"time"

	"github.com/handfast/handfast/bench/internal/load"
)

// balancer is a running tool.
type balancer struct {
	tool
	path  string // the path of the tool's program
	now   situation
	all   []*process    // the last one is the current one
	taken *os.File      // the listening socket that is passed to handfast
	sees  func() string // returns the generation that new clients see
	files int           // number of configuration files that are no longer in use
}

// open starts a balancer in a situation, and sets the situation's Listen, Admin and Dir.
func open(ctx context.Context, t tool, path, dir string, now situation) (b *balancer, err error) {
	b = &balancer{tool: t, path: path, now: now}
	if b.now.Dir, err = os.MkdirTemp(dir, t.name); err != nil {
		return nil, err
	}
	if b.now.Listen, err = freeAddress(); err != nil {
		return nil, err
	}
	if b.now.Admin, err = freeAddress(); err != nil {
		return nil, err
	}
	b.now.Generation = 1
	if err = errors.Join(b.write(), b.start(ctx, b)); err == nil {
		err = load.Await(ctx, b.now.Listen)
	}
	if err != nil {
		err = fmt.Errorf("%w: %s", err, b.logs())
		b.close()
		return nil, err
	}
	return b, nil
}

func (b *balancer) file() string {
	return filepath.Join(b.now.Dir, fmt.Sprintf("config%d.yaml", b.files))
}

func (b *balancer) text() ([]byte, error) {
	var text bytes.Buffer
	t, err := template.New(b.name).Parse(b.config)
	if err == nil {
		err = t.Execute(&text, b.now)
	}
	return text.Bytes(), err
}

// write writes the configuration, atomically for programs that watch it.
func (b *balancer) write() error {
	text, err := b.text()
	if err != nil {
		return err
	}
	next := b.file() + ".next"
	return errors.Join(os.WriteFile(next, text, 0o600), os.Rename(next, b.file()))
}

// change writes a new generation of the configuration, reloads it, and waits until it is in effect.
func (b *balancer) change(ctx context.Context) error {
	b.now.Generation++
	if err := errors.Join(b.write(), b.reload(ctx, b)); err != nil {
		return err
	}
	for deadline := time.Now().Add(time.Minute); b.sees() != strconv.Itoa(b.now.Generation); wait(ctx, 10*time.Millisecond) {
		if time.Now().After(deadline) || ctx.Err() != nil {
			return fmt.Errorf("the new configuration is not in force: %s", b.logs())
		}
	}
	return nil
}

// run starts the program.
func (b *balancer) run(cmd *exec.Cmd) error {
	cmd.Dir = b.now.Dir
	p, err := start(cmd)
	if err == nil {
		b.all = append(b.all, p)
	}
	return err
}

func (b *balancer) current() *process { return b.all[len(b.all)-1] }

func (b *balancer) signal(s syscall.Signal) error { return syscall.Kill(b.current().group, s) }

// members returns the number of the balancer's processes.
func (b *balancer) members() (n int) {
	for _, p := range b.all {
		n += p.members()
	}
	return n
}

func (b *balancer) logs() string {
	var text strings.Builder
	for _, p := range b.all {
		text.WriteString(p.log.String())
	}
	return text.String()
}

func (b *balancer) close() {
	for _, p := range b.all {
		p.kill()
	}
	if b.taken != nil {
		b.taken.Close()
	}
}

// startHandfast starts handfast as a systemd socket unit does.
func startHandfast(ctx context.Context, b *balancer) error {
	if b.taken == nil {
		l, err := net.Listen("tcp4", b.now.Listen)
		if err != nil {
			return err
		}
		defer l.Close()
		if b.taken, err = l.(*net.TCPListener).File(); err != nil {
			return err
		}
	}
	cmd := exec.CommandContext(ctx, "sh", "-c", `LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" "$@"`, b.path, "serve", "--config", b.file())
	cmd.ExtraFiles = []*os.File{b.taken}
	return b.run(cmd)
}

func replaceHandfast(ctx context.Context, b *balancer) (err error) {
	old := b.current()
	b.files++ // the old process continues to watch the old file
	if b.now.Admin, err = freeAddress(); err != nil {
		return err
	}
	if err = errors.Join(b.write(), b.start(ctx, b)); err != nil {
		return err
	}
	if err = load.Await(ctx, b.now.Admin); err != nil {
		return err
	}
	old.signal(syscall.SIGTERM)
	return nil
}

func drainHandfast(ctx context.Context, b *balancer) error {
	return b.operate(ctx, "drain", b.now.Servers[0].Addr)
}

func addHandfast(ctx context.Context, b *balancer) (err error) {
	for _, m := range b.now.Servers[2:] {
		err = errors.Join(err, b.operate(ctx, "add", m.Addr))
	}
	return err
}

// operate runs a command of handfast balance.
func (b *balancer) operate(ctx context.Context, command, server string) error {
	said, err := exec.CommandContext(ctx, b.path, "balance", command, server, "--admin", b.now.Admin).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, said)
	}
	return nil
}

func startHAProxy(ctx context.Context, b *balancer) error {
	return b.run(exec.CommandContext(ctx, b.path, "-W", "-f", b.file()))
}

// addHAProxy adds servers as HAProxy's management guide describes under "add server".
func addHAProxy(ctx context.Context, b *balancer) error {
	for i, m := range b.now.Servers[2:] {
		name := fmt.Sprintf("servers/s%d", i+2)
		for _, command := range []string{"add server " + name + " " + m.Addr + " check", "enable health " + name, "enable server " + name} {
			if err := runtime(command)(ctx, b); err != nil {
				return fmt.Errorf("%s: %w", command, err)
			}
		}
	}
	return nil
}

// runtime returns a step that runs a command of HAProxy's runtime API.
func runtime(command string) func(context.Context, *balancer) error {
	return func(ctx context.Context, b *balancer) error {
		c, err := new(net.Dialer).DialContext(ctx, "unix", filepath.Join(b.now.Dir, "haproxy.sock"))
		if err != nil {
			return err
		}
		defer c.Close()
		fmt.Fprintln(c, command)
		said, err := io.ReadAll(c)
		if text := strings.TrimSpace(string(said)); err == nil && text != "" && text != "New server registered." {
			err = errors.New(text)
		}
		return err
	}
}

// startNginx starts nginx in the background, because otherwise it does not replace its program.
func startNginx(ctx context.Context, b *balancer) error {
	if err := b.run(exec.CommandContext(ctx, b.path, "-c", b.file(), "-p", b.now.Dir, "-e", filepath.Join(b.now.Dir, "nginx.log"))); err != nil {
		return err
	}
	for deadline := time.Now().Add(time.Minute); ; wait(ctx, 10*time.Millisecond) {
		if pid, err := b.nginx("nginx.pid"); err == nil {
			b.current().group = pid // the master process has started a new session
			return nil
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			return errors.New("nginx does not start")
		}
	}
}

func (b *balancer) nginx(file string) (pid int, err error) {
	text, err := os.ReadFile(filepath.Join(b.now.Dir, file))
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(text)))
}

// replaceNginx replaces the program as nginx.org describes under "Upgrading Executable on the Fly".
func replaceNginx(ctx context.Context, b *balancer) error {
	old := b.current().group
	if err := b.signal(syscall.SIGUSR2); err != nil {
		return err
	}
	for deadline := time.Now().Add(10 * time.Second); ; wait(ctx, 10*time.Millisecond) {
		before, err := b.nginx("nginx.pid.oldbin")
		if pid, failed := b.nginx("nginx.pid"); err == nil && failed == nil && before == old && pid != old {
			return syscall.Kill(old, syscall.SIGQUIT)
		}
		if time.Now().After(deadline) {
			return errors.New("there is no second master process")
		}
	}
}

func startCaddy(ctx context.Context, b *balancer) error {
	cmd := exec.CommandContext(ctx, b.path, "run", "--adapter", "caddyfile", "--config", b.file())
	cmd.Env = append(os.Environ(), "XDG_CONFIG_HOME="+b.now.Dir, "XDG_DATA_HOME="+b.now.Dir)
	return b.run(cmd)
}

func reloadCaddy(ctx context.Context, b *balancer) error {
	text, err := b.text()
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+b.now.Admin+"/load", bytes.NewReader(text))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "text/caddyfile")
	once := &http.Transport{DisableKeepAlives: true}
	resp, err := once.RoundTrip(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		said, _ := io.ReadAll(resp.Body) // a part of the body is sufficient
		return fmt.Errorf("POST /load: %s: %s", resp.Status, said)
	}
	return nil
}

// replaceCaddy does the same as systemctl restart.
func replaceCaddy(ctx context.Context, b *balancer) error {
	old := b.current()
	old.signal(syscall.SIGTERM)
	select {
	case <-old.ended:
	case <-time.After(90 * time.Second): // systemd's default
		old.kill()
	}
	return b.start(ctx, b)
}

// delays reports whether a Caddy supports stream_close_delay, which was added in 2.7.
func delays(ctx context.Context, path, dir string) bool {
	file := filepath.Join(dir, "delay")
	if err := os.WriteFile(file, []byte("http://127.0.0.1:1 {\n reverse_proxy 127.0.0.1:2 {\n  stream_close_delay 1s\n }\n}\n"), 0o600); err != nil {
		return false
	}
	return exec.CommandContext(ctx, path, "adapt", "--adapter", "caddyfile", "--config", file).Run() == nil
}

// versionOf returns the version that a program prints, or else the version in its Go build information.
func versionOf(ctx context.Context, path string, args []string) string {
	said, _ := exec.CommandContext(ctx, path, args...).CombinedOutput() // some programs print their version and fail
	for _, word := range strings.FieldsFunc(string(said), func(r rune) bool { return r == ' ' || r == '/' || r == '\n' }) {
		if word = strings.TrimPrefix(word, "v"); word != "" && word[0] >= '0' && word[0] <= '9' && strings.Contains(word, ".") {
			return word
		}
	}
	if info, err := buildinfo.ReadFile(path); err == nil && info.Main.Version != "(devel)" {
		return strings.TrimPrefix(info.Main.Version, "v")
	}
	return ""
}
