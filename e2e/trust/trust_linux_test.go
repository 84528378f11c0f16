//go:build e2e

package trust

import (
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/handfast/handfast/certs"
	"github.com/handfast/handfast/e2e/internal/harness"
	"github.com/handfast/handfast/internal/bounded"
)

// newUser returns a user with a development CA and a browser's trust store, and the URL of a server with a certificate from the CA.
func newUser(t *testing.T) (u user, url string) {
	t.Helper()
	u = user{harness.NewUser(t), make(chan bool, 100)}
	nss := filepath.Join(u.Home, ".pki", "nssdb")
	if err := os.MkdirAll(nss, 0o700); err != nil {
		t.Fatal(err)
	}
	u.Must("certutil -N -d sql:" + nss + " --empty-password")
	u.Must("handfast cert dev")
	dev, err := certs.OpenDev(filepath.Dir(u.caFile()), hostname(t))
	if err != nil {
		t.Fatal(err)
	}
	p, err := certs.Open(certs.Options{Dev: dev})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{TLSConfig: p.TLSConfig("http/1.1"), ErrorLog: log.New(refusals(u.visits), "", 0),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.UserAgent(), "Firefox/") {
				u.visits <- true
			}
			io.WriteString(w, "believed")
		})}
	go s.ServeTLS(l, "", "")
	t.Cleanup(func() { s.Close() })
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return u, "https://localhost:" + port + "/"
}

// refusals receives a server's log, and sends false for each TLS handshake that a client has ended with an alert.
type refusals chan bool

func (r refusals) Write(line []byte) (int, error) {
	if strings.Contains(string(line), "remote error: tls: ") {
		select {
		case r <- false:
		default: // the test does not read the channel
		}
	}
	return len(line), nil
}

func hostname(t *testing.T) string {
	t.Helper()
	name, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// caFile returns the path of the user's development CA certificate.
func (u user) caFile() string {
	u.T.Helper()
	return strings.TrimSpace(u.Must("handfast cert show --path"))
}

// trustingPrograms returns the names of those programs among curl, openssl and chromium that trust the server.
func (u user) trustingPrograms(url string) string {
	u.T.Helper()
	var all []string
	if r := u.Run(u.Command("curl", "--silent", "--show-error", url)); r.Code == 0 && r.Stdout == "believed" {
		all = append(all, "curl")
	} else if r.Code != 60 { // 60 is curl's exit code if the certificate cannot be verified
		u.T.Errorf("curl: exit %d, %s", r.Code, r.Stderr)
	}
	host := strings.Trim(strings.TrimPrefix(url, "https:"), "/")
	if r := u.Run(u.Command("openssl", "s_client", "-verify_return_error", "-verify_hostname", "localhost", "-connect", host)); r.Code == 0 {
		all = append(all, "openssl")
	} else if !strings.Contains(r.Stderr+r.Stdout, "verif") {
		u.T.Errorf("openssl: %s%s", r.Stdout, r.Stderr)
	}
	page := u.Run(u.Command("chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
		"--user-data-dir="+u.T.TempDir(), "--dump-dom", url)).Stdout
	if strings.Contains(page, "believed") {
		all = append(all, "chromium")
	}
	return strings.Join(all, " ")
}

// traces returns the files of a CA in the system's directories.
func traces(t *testing.T, name string) []string {
	t.Helper()
	var found []string
	for _, dir := range []string{"/etc/ssl/certs", "/usr/local/share/ca-certificates"} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			target, _ := os.Readlink(filepath.Join(dir, e.Name()))
			if strings.Contains(e.Name()+target, name) {
				found = append(found, filepath.Join(dir, e.Name()))
			}
		}
	}
	return found
}

func TestTrustAndUntrust(t *testing.T) {
	if os.Geteuid() != 0 {
		refused(t, user{User: harness.NewUser(t)}, nil)
		t.Log("this user may not change the system's store: the rest of this test runs as root")
		return
	}
	u, url := newUser(t)
	ca, err := certs.DevCA(filepath.Dir(u.caFile()))
	if err != nil {
		t.Fatal(err)
	}
	name := strings.ReplaceAll(ca.Subject.CommonName, " ", "_")
	t.Cleanup(func() { u.Must("handfast cert untrust") })
	bundle := func() string {
		b, err := os.ReadFile("/etc/ssl/certs/ca-certificates.crt")
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	pem, err := os.ReadFile(u.caFile())
	if err != nil {
		t.Fatal(err)
	}

	if got := u.trustingPrograms(url); got != "" {
		t.Fatalf("before: trusted by %s", got)
	}
	said := u.Must("handfast cert trust --dry-run")
	for _, want := range []string{"would write /usr/local/share/ca-certificates/" + name, "update-ca-certificates", "certutil -A -d sql:" + u.Home} {
		if !strings.Contains(said, want) {
			t.Errorf("the dry run does not say %q:\n%s", want, said)
		}
	}
	if found := traces(t, name); len(found) != 0 {
		t.Errorf("the dry run has changed files: %v", found)
	}

	said = u.Must("handfast cert trust")
	if strings.Count(said, "now trusts it") != 2 || !strings.Contains(said, "localhost") || !strings.Contains(said, "nothing else") {
		t.Errorf("trust printed:\n%s", said)
	}
	if got := u.trustingPrograms(url); got != "curl openssl chromium" {
		t.Errorf("after: trusted by %q", got)
	}
	if !strings.Contains(bundle(), string(pem)) {
		t.Error("the CA is not in the system's bundle")
	}
	if said = u.Must("handfast cert trust"); strings.Count(said, "already trusts it") != 2 {
		t.Errorf("the second trust printed:\n%s", said)
	}
	if said = u.Must("handfast cert show"); !strings.Contains(said, "yes, in the system's store") {
		t.Errorf("show printed:\n%s", said)
	}

	said = u.Must("handfast cert untrust")
	if strings.Count(said, "no longer trusts it") != 2 {
		t.Errorf("untrust printed:\n%s", said)
	}
	if got := u.trustingPrograms(url); got != "" {
		t.Errorf("in the end: trusted by %s", got)
	}
	if found := traces(t, name); len(found) != 0 || strings.Contains(bundle(), string(pem)) {
		t.Errorf("left behind: %v", found)
	}
	if said = u.Must("handfast cert untrust"); strings.Count(said, "does not have it") != 2 {
		t.Errorf("the second untrust printed:\n%s", said)
	}
}

// A CA that is deleted while it is trusted can still be removed from the trust stores.
func TestNewWhileTrusted(t *testing.T) {
	if os.Geteuid() != 0 {
		refused(t, user{User: harness.NewUser(t)}, nil)
		return
	}
	u, _ := newUser(t)
	ca, err := certs.DevCA(filepath.Dir(u.caFile()))
	if err != nil {
		t.Fatal(err)
	}
	name := strings.ReplaceAll(ca.Subject.CommonName, " ", "_")
	u.Must("handfast cert trust")
	r := u.Handfast("", "cert", "dev", "--new")
	_, hint, ok := strings.Cut(r.Stderr, "next step: handfast cert untrust ")
	if !ok || r.Code != 0 {
		u.Must("handfast cert untrust " + traces(t, name)[0])
		t.Fatalf("exit %d, %s", r.Code, r.Stderr)
	}
	u.Must("handfast cert untrust " + strings.TrimSpace(hint))
	if found := traces(t, name); len(found) != 0 {
		t.Errorf("left behind: %v", found)
	}
}

// Without the necessary permissions, and without sudo, the error contains the reason and the next step.
func TestTrustWithoutPermissions(t *testing.T) {
	u := user{User: harness.NewUser(t)}
	path := harness.NewUser(t).Home // a directory that every user may enter
	u.Env = []string{"PATH=" + path}
	program, err := exec.LookPath("update-ca-certificates")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(program, filepath.Join(path, "update-ca-certificates")); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() != 0 {
		refused(t, u, nil)
		return
	}
	const nobody = 65534
	if err := os.Chown(u.Home, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	refused(t, u, &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}})
}

// refused checks the errors for a user who may not change the system's trust store.
func refused(t *testing.T, u user, as *syscall.SysProcAttr) {
	t.Helper()
	run := func(args ...string) harness.Result {
		cmd := u.Command("handfast", args...)
		cmd.SysProcAttr = as
		return u.Run(cmd)
	}
	if r := run("cert", "trust"); r.Code != 1 || !strings.Contains(r.Stderr, `run "handfast cert dev"`) {
		t.Errorf("without a CA: exit %d, %s", r.Code, r.Stderr)
	}
	if r := run("cert", "dev"); r.Code != 0 {
		t.Fatalf("exit %d, %s", r.Code, r.Stderr)
	}
	ca := strings.TrimSpace(run("cert", "show", "--path").Stdout)
	if r := run("cert", "trust", "--dry-run"); r.Code != 0 || !strings.Contains(r.Stdout, "cannot: changing the store requires root") {
		t.Errorf("dry run: exit %d, %s%s", r.Code, r.Stdout, r.Stderr)
	}
	r := run("cert", "trust")
	if r.Code != 1 || !strings.Contains(r.Stderr, "changing the store requires root") || !strings.Contains(r.Stderr, "next step: run as root: handfast cert trust "+ca) {
		t.Errorf("exit %d, %s%s", r.Code, r.Stdout, r.Stderr)
	}
}

// If the home directory has no browser's trust store yet, "cert trust" creates the store that Chromium will use.
func TestTrustReachesChromium(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Log("this user may not change the system's store: this test runs as root")
		return
	}
	u, url := newUser(t)
	t.Cleanup(func() { u.Must("handfast cert untrust") })
	if err := os.RemoveAll(filepath.Join(u.Home, ".pki")); err != nil {
		t.Fatal(err)
	}
	said := u.Must("handfast cert trust")
	if !strings.Contains(said, "/.local/share/pki/nssdb") || !strings.Contains(u.trustingPrograms(url), "chromium") {
		t.Errorf("trust printed:\n%s", said)
	}
}

// openFirefox runs Firefox with the server's page until Firefox has sent a request or, if trusts is false, refused the certificate.
func (u user) openFirefox(url string, trusts bool) {
	u.T.Helper()
	cmd := u.Command("firefox-esr", "--headless", url)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		u.T.Fatal(err)
	}
	defer func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // kills child processes, too; an orderly end takes seconds
		_ = cmd.Wait()
	}()
	for {
		trusted := bounded.Receive(u.T, u.visits)
		if trusted && !trusts {
			u.T.Error("Firefox trusts the server")
		}
		if trusted || !trusts { // ignore a refusal by an earlier run of Firefox
			return
		}
	}
}

// Firefox, with its profile in the current or in the former location, trusts the server only after "cert trust".
func TestTrustReachesFirefox(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Log("this user may not change the system's store: this test runs as root")
		return
	}
	for name, tt := range map[string]struct{ before, profiles string }{
		"a new home":  {".", ".config/mozilla/firefox"},
		"an old home": {".mozilla/firefox", ".mozilla/firefox"}, // Firefox uses the former location if it exists
	} {
		t.Run(name, func(t *testing.T) {
			u, url := newUser(t)
			t.Cleanup(func() { u.Must("handfast cert untrust") })
			u.Must("mkdir -p " + tt.before)
			u.openFirefox(url, false)
			said := u.Must("handfast cert trust")
			if !strings.Contains(said, "sql:"+filepath.Join(u.Home, tt.profiles)+"/") {
				t.Errorf("trust printed:\n%s", said)
			}
			u.openFirefox(url, true)
			u.Must("handfast cert untrust")
			if left := u.Must("certutil -L -d sql:$(dirname " + tt.profiles + "/*/cert9.db)"); strings.Contains(left, "handfast") {
				t.Errorf("left:\n%s", left)
			}
		})
	}
}
