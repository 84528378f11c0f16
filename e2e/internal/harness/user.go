package harness

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

// User is a user with a home directory, in which the programs of a test run.
type User struct {
	T    *testing.T
	Home string   // every user may enter the directory, because a program that root starts may switch to another user
	Env  []string // additional name=value pairs for [User.Command]; the last value of a name applies

	// Under is a command prefix for all programs, such as "ip netns exec NAME". If empty, there is no prefix.
	Under []string

	// Sockets are passed to all programs, as systemd passes the sockets of socket units.
	Sockets []*os.File
}

// NewUser returns a user with a new home directory, which is removed at the end of the test.
func NewUser(t *testing.T) *User {
	t.Helper()
	home := t.TempDir()
	for _, dir := range []string{home, filepath.Dir(home)} { // the parent directory also belongs to this test only
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return &User{T: t, Home: home}
}

// In returns the user for a subtest. Programs that the subtest starts end with the subtest.
func (u *User) In(t *testing.T) *User { return &User{T: t, Home: u.Home, Env: u.Env, Under: u.Under} }

// Write writes a file in the home directory, readable only by its owner, and returns the file's path.
func (u *User) Write(name, text string) string {
	u.T.Helper()
	path := filepath.Join(u.Home, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		u.T.Fatal(err)
	}
	return path
}

// Command prepares a program, which is killed if it runs for longer than [Patience]. The name "handfast" means the binary under test.
// The program inherits only PATH from the environment of the test, and thus no variables for proxies or CAs.
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
	cmd.WaitDelay = Patience / 6 // limits the wait for child processes that keep the output open
	return cmd
}

// Environ returns the environment of the user's programs.
func (u *User) Environ() []string {
	return append([]string{"HOME=" + u.Home, "PATH=" + os.Getenv("PATH"), "TMPDIR=" + os.TempDir(), "LANG=C.UTF-8",
		"GORACE=atexit_sleep_ms=0"}, u.Env...) // a binary with the race detector otherwise waits for a second before it exits
}

// Result is the result of a program.
type Result struct {
	Code           int // -1 if a signal terminated the program
	Stdout, Stderr string
}

// Run runs a command and waits for it to exit. It sets Stdout and Stderr of cmd.
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

// Handfast runs the binary with stdin as its standard input, and waits for it to exit.
func (u *User) Handfast(stdin string, args ...string) Result {
	u.T.Helper()
	cmd := u.Command("handfast", args...)
	cmd.Stdin = strings.NewReader(stdin)
	return u.Run(cmd)
}

// Bash runs a script and waits for it to exit. env contains additional name=value pairs. The script stops at the first command that
// fails.
func (u *User) Bash(script string, env ...string) Result {
	u.T.Helper()
	cmd := u.Command("bash", "-euo", "pipefail", "-c", script)
	cmd.Env = append(cmd.Env, env...)
	return u.Run(cmd)
}

// Must runs a script, and returns its output without the final newline. The test fails if the script fails.
func (u *User) Must(script string, env ...string) string {
	u.T.Helper()
	r := u.Bash(script, env...)
	if r.Code != 0 {
		u.T.Fatalf("%s: exit %d\n%s%s", script, r.Code, r.Stdout, r.Stderr)
	}
	return strings.TrimRight(r.Stdout, "\n")
}
