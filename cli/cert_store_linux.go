package cli

import (
	"crypto/x509"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/smallstep/truststore"
)

// systemStore returns the system's certificate store. It consists of a directory for added authorities, and of a program that generates the
// files that other programs read.
func systemStore(ca *x509.Certificate) store {
	s := store{name: "system", absent: "handfast does not know the certificate store of this system"}
	if truststore.SystemTrustCommand == nil {
		return s
	}
	program := truststore.SystemTrustCommand[0]
	found, err := systemProgram(program, systemDirs...)
	if err != nil {
		s.absent = filepath.Base(program) + ", which updates the system's store, is not installed (on Debian: apt install ca-certificates)"
		return s
	}
	truststore.SystemTrustCommand[0] = found
	s.absent = ""
	s.where = fmt.Sprintf(truststore.SystemTrustFilename, strings.ReplaceAll(uniqueName(ca), " ", "_"))
	if have, _, err := readChain(s.where); err == nil && have[0].Equal(ca) {
		s.installed, s.partlyInstalled = true, true
	}
	sudo := ""
	if _, err := exec.LookPath("sudo"); err == nil {
		sudo = "sudo "
	} else if os.Geteuid() != 0 {
		s.blocked = "changing the store requires root, and sudo is not installed"
	}
	update := "run: " + sudo + strings.Join(truststore.SystemTrustCommand, " ")
	s.add, s.remove = []string{"write " + s.where, update}, []string{"remove " + s.where, update}
	s.change = func(in bool) error {
		if in {
			return withOutput(truststore.Install(ca))
		}
		err := withOutput(truststore.Uninstall(ca))
		if err == nil {
			removeLinks(s.where)
		}
		return err
	}
	return s
}

// systemDirs are the directories of programs for root. On Debian, they are not in the PATH of other users.
var systemDirs = []string{"/usr/local/sbin", "/usr/sbin", "/sbin"}

// systemProgram returns the name of a program that is in PATH, or otherwise the program's path in one of the directories.
func systemProgram(name string, dirs ...string) (string, error) {
	_, err := exec.LookPath(name)
	if err == nil {
		return name, nil
	}
	for _, dir := range dirs {
		if path, found := exec.LookPath(filepath.Join(dir, filepath.Base(name))); found == nil {
			return path, nil
		}
	}
	return "", err
}

// removeLinks removes the symbolic links to a file that was removed. Debian's program leaves these links behind unless it regenerates all
// of them. Links that this user may not remove are harmless.
func removeLinks(gone string) {
	const dir = "/etc/ssl/certs"
	link := strings.TrimSuffix(filepath.Base(gone), ".crt") + ".pem"
	entries, err := os.ReadDir(dir)
	if err != nil || isFile(gone) {
		return
	}
	for _, e := range entries {
		target, err := os.Readlink(filepath.Join(dir, e.Name()))
		if err == nil && (target == gone || target == link) {
			_ = os.Remove(filepath.Join(dir, e.Name()))
		}
	}
}
