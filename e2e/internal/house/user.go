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

// User is a user with a home directory, in which everything runs that one test starts.
type User struct {
	T    *testing.T
	Home string   // everybody may enter it: what root starts may go on as another user
	Env  []string // name=value on top of the environment that [User.Command] gives; the last of a name holds

	// Under is the program, and its first arguments, that runs what is run: "ip netns exec NAME". Empty means that nothing does.
	Under []string

	// Sockets are passed to what is run, as systemd does it for socket units.
	Sockets []*os.File
}

// NewUser returns a user whose home ends with the test.
func NewUser(t *testing.T) *User {
	t.Helper()
	home := t.TempDir()
	for _, dir := range []string{home, filepath.Dir(home)} { // the latter is the test's own, too
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return &User{T: t, Home: home}
}

// In returns the same user for a subtest, with which everything ends that is started for it.
func (u *User) In(t *testing.T) *User { return &User{T: t, Home: u.Home, Env: u.Env, Under: u.Under} }

// Write writes a file below the home, which only the user may read, and returns its path.
func (u *User) Write(name, text string) string {
	u.T.Helper()
	path := filepath.Join(u.Home, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		u.T.Fatal(err)
	}
	return path
}

// Command prepares a program, "handfast" for the one under test, which is killed when it takes longer than [Patience].
// It gets nothing from the environment of the test but PATH: nothing names proxies or authorities.
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
	cmd.WaitDelay = Patience / 6 // for children that hold its output
	return cmd
}

// Environ returns the environment of what the user runs.
func (u *User) Environ() []string {
	return append([]string{"HOME=" + u.Home, "PATH=" + os.Getenv("PATH"), "TMPDIR=" + os.TempDir(), "LANG=C.UTF-8",
		"GORACE=atexit_sleep_ms=0"}, u.Env...) // a binary with the race detector would linger for a second
}

// Result is what a program did.
type Result struct {
	Code           int // -1 when a signal has ended it
	Stdout, Stderr string
}

// Run runs a command to its end. Without a Stdin of its own it reads nothing.
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

// Handfast runs the binary to its end.
func (u *User) Handfast(stdin string, args ...string) Result {
	u.T.Helper()
	cmd := u.Command("handfast", args...)
	cmd.Stdin = strings.NewReader(stdin)
	return u.Run(cmd)
}

// Bash runs a script to its end, with name=value on top of its environment. It stops at the first command that fails.
func (u *User) Bash(script string, env ...string) Result {
	u.T.Helper()
	cmd := u.Command("bash", "-euo", "pipefail", "-c", script)
	cmd.Env = append(cmd.Env, env...)
	return u.Run(cmd)
}

// Must runs a script that is to succeed, and returns what it prints, without the line's end.
func (u *User) Must(script string, env ...string) string {
	u.T.Helper()
	r := u.Bash(script, env...)
	if r.Code != 0 {
		u.T.Fatalf("%s: exit %d\n%s%s", script, r.Code, r.Stdout, r.Stderr)
	}
	return strings.TrimRight(r.Stdout, "\n")
}
