package trust

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// binary is the program under test.
var binary string

func TestMain(m *testing.M) { os.Exit(buildAndRun(m)) }

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "handfast-trust-*")
	if err == nil {
		err = os.Chmod(dir, 0o755) // for a user without rights, too
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "handfast")
	if out, err := exec.Command("go", "build", "-o", binary, "github.com/handfast/handfast/cmd/handfast").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		return 1
	}
	code := m.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// user is somebody with a home directory.
type user struct {
	t    *testing.T
	home string
	path string
}

// command prepares a program. Nothing in its environment names authorities.
func (u user) command(name string, args ...string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	u.t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = u.home
	cmd.Env = []string{"HOME=" + u.home, "PATH=" + u.path, "TMPDIR=" + os.TempDir()}
	return cmd
}

// result is what a program did.
type result struct {
	code           int
	stdout, stderr string
}

func (u user) run(name string, args ...string) result {
	u.t.Helper()
	return u.finish(u.command(name, args...))
}

func (u user) finish(cmd *exec.Cmd) result {
	u.t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(""), &stdout, &stderr
	err := cmd.Run()
	if cmd.ProcessState == nil {
		u.t.Fatalf("%q: %v", cmd.Args, err)
	}
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// must runs a program that is to succeed, and returns what it says.
func (u user) must(name string, args ...string) string {
	u.t.Helper()
	r := u.run(name, args...)
	if r.code != 0 {
		u.t.Fatalf("%s %q: exit %d\n%s%s", name, args, r.code, r.stdout, r.stderr)
	}
	return r.stdout
}
