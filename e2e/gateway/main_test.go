//go:build e2e

package gateway

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/handfast/handfast/e2e/internal/harness"
)

func TestMain(m *testing.M) { os.Exit(runAndSearch(m)) }

// runAndSearch runs the tests, and then searches the servers' output for secrets.
func runAndSearch(m *testing.M) int {
	code := harness.Main(m)
	for _, s := range secrets {
		if i := strings.Index(allOutput.String(), s); i >= 0 {
			fmt.Fprintf(os.Stderr, "a secret was logged: %.300q\n", allOutput.String()[max(0, i-200):i+20])
			return 1
		}
	}
	return code
}

// allOutput contains the output of all servers: logs, audit logs, and responses of admin listeners. secrets lists the strings that must not
// appear in allOutput.
var (
	allOutput harness.Output
	secrets   []string
)

func secret(text string) string {
	secrets = append(secrets, text)
	return text
}

// server is a running "handfast serve --config".
type server struct {
	*harness.Server
	file string // path of the configuration
}

// serve starts a server with a configuration, in which tabs represent two spaces. The server is killed at the end of the test if it is
// still running.
func serve(t *testing.T, config string) *server {
	t.Helper()
	u := harness.NewUser(t)
	s := &server{file: filepath.Join(u.Home, "handfast.yaml")}
	s.configure(t, config)
	t.Cleanup(func() {
		if s.Server != nil {
			fmt.Fprint(&allOutput, s.Log.String(), s.Stdout.String()) // Stdout contains the audit log
		}
	})
	s.Server = u.Serve("--config", s.file)
	return s
}

// configure replaces the configuration file, as an editor does.
func (s *server) configure(t *testing.T, config string) {
	t.Helper()
	replace(t, s.file, strings.ReplaceAll(config, "\t", "  "))
}

func replace(t *testing.T, file, text string) {
	t.Helper()
	err := os.WriteFile(file+".next", []byte(text), 0o600)
	if err == nil {
		err = os.Rename(file+".next", file)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// url returns the URL of an endpoint at the first listener.
func (s *server) url(endpoint string) string {
	if url := s.First(endpoint); url != "" {
		return url
	}
	return "no endpoint " + endpoint
}

// admin sends a request to the admin listener with curl, and returns the status and the body.
func (s *server) admin(t *testing.T, args ...string) (status, body string) {
	t.Helper()
	args[len(args)-1] = strings.TrimSuffix(s.url("admin"), "/") + args[len(args)-1]
	out, err := exec.CommandContext(t.Context(), "curl", append([]string{"-sS", "-w", "%{http_code}"}, args...)...).CombinedOutput()
	if err != nil {
		return err.Error(), string(out)
	}
	n := max(0, len(out)-3)
	_, _ = allOutput.Write(out)
	return string(out[n:]), string(out[:n])
}

// logged waits until the log contains a line with all parts.
func (s *server) logged(t *testing.T, parts ...string) {
	t.Helper()
	harness.Until(t, fmt.Sprintf("%q in %s", parts, s.Log.String()), func() bool {
		for line := range strings.Lines(s.Log.String()) {
			all := true
			for _, p := range parts {
				all = all && strings.Contains(line, p)
			}
			if all {
				return true
			}
		}
		return false
	})
}
