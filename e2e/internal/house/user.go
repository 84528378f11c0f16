package house

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// User is a user with a home directory, in which all programs of one test run.
type User struct {
	T    *testing.T
	Home string   // every user may enter it: programs started by root may switch to another user
	Env  []string // name=value, in addition to the environment that [User.Command] sets; the last value of a name applies

	// Under is a command prefix for the programs that are run, such as "ip netns exec NAME". Empty means there is no prefix.
	Under []string

	// Sockets are passed to the programs, as systemd does for socket units.
	Sockets []*os.File
}

// NewUser returns a user whose home is removed at the end of the test.
func NewUser(t *testing.T) *User {
	t.Helper()
	home := t.TempDir()
	for _, dir := range []string{home, filepath.Dir(home)} { // the latter also belongs to this test only
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return &User{T: t, Home: home}
}

// In returns the same user for a subtest. Programs started with it end with the subtest.
func (u *User) In(t *testing.T) *User { return &User{T: t, Home: u.Home, Env: u.Env, Under: u.Under} }

// Write writes a file below the home, readable only by its owner, and returns its path.
func (u *User) Write(name, text string) string {
	u.T.Helper()
	path := filepath.Join(u.Home, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		u.T.Fatal(err)
	}
	return path
}

// Command prepares a program, which is killed if it runs for longer than [Patience]; "handfast" is the binary under test. The
// program inherits only PATH from the environment of the test, and no variables for proxies or CAs.
func (u *User) Command(name string, args ...string) *exec.Cmd {
	return u.command(Patience, name, args)
}

func (u *User) command(bound time.Duration, name string, args []string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(context.Background(), bound)
	u.T.Cleanup(cancel)
	if len(u.Under) > 0 {
		args = append(append(slices.Clone(u.Under[1:]), name), args...)
		name = u.Under[0]
	}
	if len(u.Sockets) > 0 {
		script := fmt.Sprintf(`LISTEN_FDS=%d LISTEN_PID=$$ exec "$0" "$@"`, len(u.Sockets))
		name, args = "sh", append([]string{"-c", script, name}, args...)
	}
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.ExtraFiles = u.Home, u.Sockets
	cmd.Env = u.Environ()
	cmd.WaitDelay = Patience / 6 // for child processes that keep its output open
	return cmd
}

// Environ returns the environment of the user's programs.
func (u *User) Environ() []string {
	return append([]string{"HOME=" + u.Home, "PATH=" + os.Getenv("PATH"), "TMPDIR=" + os.TempDir(), "LANG=C.UTF-8",
		"GORACE=atexit_sleep_ms=0"}, u.Env...) // otherwise a binary with the race detector would wait for a second before it exits
}

// Result is the result of a program.
type Result struct {
	Code           int // -1 if it was terminated by a signal
	Stdout, Stderr string
}

// Run runs a command and waits for it. If its Stdin is nil, its standard input is empty.
func (u *User) Run(cmd *exec.Cmd) Result {
	u.T.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if cmd.ProcessState == nil {
		u.T.Fatalf("%q: %v", cmd.Args, err)
	}
	return Result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// Handfast runs the binary and waits for it.
func (u *User) Handfast(stdin string, args ...string) Result {
	u.T.Helper()
	cmd := u.Command("handfast", args...)
	cmd.Stdin = strings.NewReader(stdin)
	return u.Run(cmd)
}

// Bash runs a script and waits for it, with name=value added to its environment. The script stops at the first command that fails.
func (u *User) Bash(script string, env ...string) Result {
	u.T.Helper()
	cmd := u.Command("bash", "-euo", "pipefail", "-c", script)
	cmd.Env = append(cmd.Env, env...)
	return u.Run(cmd)
}

// Must runs a script that has to succeed, and returns its output without the final newline.
func (u *User) Must(script string, env ...string) string {
	u.T.Helper()
	r := u.Bash(script, env...)
	if r.Code != 0 {
		u.T.Fatalf("%s: exit %d\n%s%s", script, r.Code, r.Stdout, r.Stderr)
	}
	return strings.TrimRight(r.Stdout, "\n")
}
