package cli

import (
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// browserStore returns the certificate stores of this user's Firefox and Chromium, which are NSS databases.
func browserStore(ca *x509.Certificate, path string) store {
	s := store{name: "browsers", installed: true}
	profiles := nssProfiles()
	fresh := freshStore(profiles)
	if fresh != "" {
		profiles = append(profiles, "sql:"+fresh)
	}
	if len(profiles) == 0 {
		s.absent = "Firefox and Chromium have no store here; they create it when they first run"
		return s
	}
	s.where = strings.Join(profiles, ", ")
	certutil, err := findCertutil()
	missing := err != nil
	if missing {
		s.blocked = "certutil, which reads and writes " + s.where + ", is not installed"
		s.step = "install certutil (on Debian: apt install libnss3-tools, elsewhere nss-tools or nss), and run the command again"
		if len(profiles) == 1 && fresh != "" { // no browser has a store yet
			s.absent = s.blocked + ": " + s.step
			return s
		}
	}
	name := uniqueName(ca)
	add, remove := map[string][]string{}, map[string][]string{}
	var have []string
	for _, profile := range profiles {
		add[profile] = []string{"-A", "-d", profile, "-t", "C,,", "-n", name, "-i", path}
		remove[profile] = []string{"-D", "-d", profile, "-n", name}
		if missing || exec.Command(certutil, "-L", "-d", profile, "-n", name).Run() == nil {
			have = append(have, profile)
		}
		if fresh != "" && profile == "sql:"+fresh {
			s.add = append(s.add, "create "+fresh+", the store of Chromium, and run: "+shellLine("certutil", emptyStore(profile)))
		}
		s.add = append(s.add, "run: "+shellLine("certutil", add[profile]))
		s.remove = append(s.remove, "run: "+shellLine("certutil", remove[profile]))
	}
	s.installed, s.partlyInstalled = len(have) == len(profiles) && !missing, len(have) > 0 // without certutil, the content of the stores is unknown
	s.change = func(in bool) error {
		var errs []error
		if in && fresh != "" {
			errs = append(errs, makeStore(certutil, fresh))
		}
		for _, profile := range profiles {
			args := add[profile]
			if !in {
				args = remove[profile]
			}
			if slices.Contains(have, profile) == in {
				continue
			}
			if out, err := exec.Command(certutil, args...).CombinedOutput(); err != nil {
				output, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
				errs = append(errs, fmt.Errorf("%s: %w: %s", profile, err, output))
			}
		}
		return errors.Join(errs...)
	}
	return s
}

// emptyStore returns the arguments with which certutil creates a database.
func emptyStore(profile string) []string { return []string{"-N", "-d", profile, "--empty-password"} }

// makeStore creates an empty database.
func makeStore(certutil, dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if out, err := exec.Command(certutil, emptyStore("sql:"+dir)...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", dir, err, strings.TrimSpace(string(out)))
	}
	return nil
}

// chromiums are the programs that use the database of Chromium.
var chromiums = []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "brave-browser", "microsoft-edge", "microsoft-edge-stable"}

// freshStore returns the directory in which an installed Chromium will look for its database, or "" if Chromium already has a database or
// is not installed.
func freshStore(profiles []string) string {
	if runtime.GOOS != "linux" || slices.ContainsFunc(profiles, func(p string) bool { return strings.HasSuffix(p, "pki/nssdb") }) {
		return ""
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return ""
	}
	for _, name := range chromiums {
		if _, err := exec.LookPath(name); err == nil {
			return filepath.Join(xdgBase("XDG_DATA_HOME", home, ".local/share"), "pki/nssdb")
		}
	}
	return ""
}

// xdgBase returns a directory of the XDG Base Directory Specification.
func xdgBase(variable, home, otherwise string) string {
	if dir := os.Getenv(variable); filepath.IsAbs(dir) {
		return dir
	}
	return filepath.Join(home, otherwise)
}

// shellLine formats a command for a POSIX shell.
func shellLine(program string, args []string) string {
	for _, a := range args {
		program += " " + shellQuote(a)
	}
	return program
}

// findCertutil returns the path of certutil of NSS. Windows has another program with the same name.
func findCertutil() (string, error) {
	if runtime.GOOS == "windows" {
		return "", exec.ErrNotFound
	}
	path, err := exec.LookPath("certutil")
	for _, prefix := range []string{"/opt/homebrew/opt/nss", "/usr/local/opt/nss"} { // Homebrew does not add this package to PATH
		if err == nil || runtime.GOOS != "darwin" {
			break
		}
		path, err = exec.LookPath(filepath.Join(prefix, "bin", "certutil"))
	}
	return path, err
}

// nssPlaces are the directories, relative to the home directory, in which browsers have their databases. In addition, in new home
// directories, browsers use those of the XDG Base Directory Specification. A star matches any name.
var nssPlaces = []string{
	".pki/nssdb",                                     // Chromium in an older home directory
	"snap/chromium/current/.pki/nssdb",               // Chromium as a snap
	".var/app/*/.pki/nssdb",                          // Chromium as a Flatpak
	".var/app/*/data/pki/nssdb",                      // Chromium as a Flatpak, in a new home directory
	".mozilla/firefox/*",                             // Firefox in an older home directory
	"snap/firefox/common/.mozilla/firefox/*",         // Firefox as a snap
	".var/app/*/.mozilla/firefox/*",                  // Firefox as a Flatpak
	".var/app/*/config/mozilla/firefox/*",            // Firefox as a Flatpak, in a new home directory
	"Library/Application Support/Firefox/Profiles/*", // Firefox on macOS
}

// nssProfiles returns the databases of browsers, in the notation of certutil.
func nssProfiles() []string {
	home, err := os.UserHomeDir()
	if err != nil {
		return nil
	}
	places := []string{
		filepath.Join(xdgBase("XDG_DATA_HOME", home, ".local/share"), "pki/nssdb"),
		filepath.Join(xdgBase("XDG_CONFIG_HOME", home, ".config"), "mozilla/firefox/*"),
	}
	for _, p := range nssPlaces {
		places = append(places, filepath.Join(home, p))
	}
	var profiles []string
	for _, place := range places {
		dirs, _ := filepath.Glob(place) // this fails if the path of the home directory contains brackets
		for _, dir := range dirs {
			switch {
			case isFile(filepath.Join(dir, "cert9.db")):
				profiles = append(profiles, "sql:"+dir)
			case isFile(filepath.Join(dir, "cert8.db")):
				profiles = append(profiles, "dbm:"+dir)
			}
		}
	}
	return profiles
}
