package cli

import (
	"errors"
	"strings"
	"testing"

	"github.com/handfast/handfast/internal/nextstep"
)

// The changes of each store are printed. If a change is not possible, the command fails. A store that is already in the wanted state is not
// changed.
func TestChangeStores(t *testing.T) {
	for _, tt := range []struct {
		name    string
		store   store
		in, dry bool
		changed bool
		output  string // the printed lines about the store
		err     string
		step    string
		restart bool // whether the output mentions running programs
	}{
		{name: "absent", store: store{absent: "no certutil", installed: true, partlyInstalled: true}, in: true, output: "skipped: no certutil", err: "no store can be changed",
			step: "install the missing programs, or start the browser once; programs such as curl accept the CA's file: --cacert '/a b.pem'"},
		{name: "to trust, and trusted", store: store{installed: true, partlyInstalled: true}, in: true, output: "already trusts it: here", restart: true},
		{name: "to trust, in one place", store: store{partlyInstalled: true}, in: true, changed: true, output: "now trusts it: here", restart: true},
		{name: "to trust", in: true, changed: true, output: "now trusts it: here", restart: true},
		{name: "to take out, and not there", output: "does not have it: here"},
		{name: "to take out of one place", store: store{partlyInstalled: true}, changed: true, output: "no longer trusts it: here"},
		{name: "to trust, dry", in: true, dry: true, output: "would add|would update"},
		{name: "to take out, dry", store: store{partlyInstalled: true}, dry: true, output: "would remove"},
		{name: "dry, without rights", store: store{blocked: "no root"}, in: true, dry: true, output: "would add|would update|cannot: no root"},
		{name: "without rights", store: store{blocked: "no root"}, in: true, output: "no: no root", err: "the system: no root",
			step: "run as root: handfast cert trust '/a b.pem'"},
		{name: "to take out, without rights", store: store{blocked: "no root", partlyInstalled: true}, output: "no: no root", err: "the system: no root",
			step: "run as root: handfast cert untrust '/a b.pem'"},
		{name: "it fails", store: store{change: func(bool) error { return errors.New("disk full") }}, in: true,
			output: "no: the store could not be changed", err: "the system: disk full", step: "--dry-run prints the commands, which can be run by hand"},
		{name: "a program is missing", store: store{blocked: "no certutil", step: "install it"}, in: true, output: "no: no certutil", err: "the system: no certutil", step: "install it"},
		{name: "dry, a program is missing", store: store{blocked: "no certutil", step: "install it"}, in: true, dry: true, output: "would add|would update|cannot: no certutil"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, changed := tt.store, false
			s.name, s.where, s.add, s.remove = "system", "here", []string{"add", "update"}, []string{"remove"}
			if s.change == nil {
				s.change = func(in bool) error {
					if changed = true; in != tt.in {
						t.Error("change adds instead of removing, or the reverse")
					}
					return nil
				}
			}
			var out buffer
			err := changeStores(&System{Stdout: &out}, []store{s, {name: "browsers", absent: "none"}}, "/a b.pem", tt.in, tt.dry)
			errText := ""
			if err != nil {
				errText = err.Error()
			}
			if changed != tt.changed || errText != tt.err || nextstep.Of(err) != tt.step {
				t.Errorf("changed: %v; %q, next step %q", changed, errText, nextstep.Of(err))
			}
			want := strings.Split(tt.output, "|")
			want = append(want, "skipped: none")
			lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
			if tt.restart {
				want = append(want, `restart running programs to apply the change; "handfast cert untrust" reverts it`)
			}
			if len(lines) != len(want) {
				t.Fatalf("the output is\n%s", out.String())
			}
			for i, line := range lines {
				if name := strings.TrimSpace(line[:15]); line[15:] != want[i] || name != "" && name != "system" && name != "browsers" {
					t.Errorf("%q, want %q", line, want[i])
				}
			}
		})
	}
}

// A failure hides neither the changes that were made, nor a second failure.
func TestChangeSomeStores(t *testing.T) {
	system := store{name: "system", where: "here", change: func(bool) error { return nil }}
	browsers := store{name: "browsers", where: "there", blocked: "no certutil", step: "install it"}
	var out buffer
	err := changeStores(&System{Stdout: &out}, []store{system, browsers}, "/ca.pem", true, false)
	if text := out.String(); err == nil || err.Error() != "the browsers: no certutil" || nextstep.Of(err) != "install it" ||
		!strings.Contains(text, "system       now trusts it: here\n") || !strings.Contains(text, "browsers     no: no certutil\n") || !strings.Contains(text, "restart running programs") {
		t.Errorf("%v, next step %q\n%s", err, nextstep.Of(err), text)
	}
	system.change = func(bool) error { return errors.New("disk full") }
	err = changeStores(&System{Stdout: &out}, []store{system, browsers}, "/ca.pem", true, false)
	if err == nil || err.Error() != "the system: disk full; the browsers: no certutil" || nextstep.Of(err) != "--dry-run prints the commands, which can be run by hand; install it" {
		t.Errorf("%v, next step %q", err, nextstep.Of(err))
	}
}
