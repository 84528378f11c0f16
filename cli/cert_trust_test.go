package cli

import (
	"errors"
	"strings"
	"testing"
)

// The changes of each store are printed. If a change is not possible, the command fails. A store that is already in the wanted state is not
// changed.
func TestChangeStores(t *testing.T) {
	for _, tt := range []struct {
		name    string
		store   store
		in, dry bool
		changed bool
		says    string // the printed lines about the store
		err     string
		step    string
		restart bool // whether the output mentions running programs
	}{
		{name: "absent", store: store{absent: "no certutil", all: true, some: true}, in: true, says: "skipped: no certutil", err: "no store can be changed",
			step: "install the missing programs, or start the browser once; programs such as curl accept the CA's file: --cacert '/a b.pem'"},
		{name: "to trust, and trusted", store: store{all: true, some: true}, in: true, says: "already trusts it: here", restart: true},
		{name: "to trust, in one place", store: store{some: true}, in: true, changed: true, says: "now trusts it: here", restart: true},
		{name: "to trust", in: true, changed: true, says: "now trusts it: here", restart: true},
		{name: "to take out, and not there", says: "does not have it: here"},
		{name: "to take out of one place", store: store{some: true}, changed: true, says: "no longer trusts it: here"},
		{name: "to trust, dry", in: true, dry: true, says: "would add|would update"},
		{name: "to take out, dry", store: store{some: true}, dry: true, says: "would remove"},
		{name: "dry, without rights", store: store{cannot: "no root"}, in: true, dry: true, says: "would add|would update|cannot: no root"},
		{name: "without rights", store: store{cannot: "no root"}, in: true, says: "no: no root", err: "the system: no root",
			step: "run as root: handfast cert trust '/a b.pem'"},
		{name: "to take out, without rights", store: store{cannot: "no root", some: true}, says: "no: no root", err: "the system: no root",
			step: "run as root: handfast cert untrust '/a b.pem'"},
		{name: "it fails", store: store{change: func(bool) error { return errors.New("disk full") }}, in: true,
			says: "no: the store could not be changed", err: "the system: disk full", step: "--dry-run prints the commands, which can be run by hand"},
		{name: "a program is missing", store: store{cannot: "no certutil", step: "install it"}, in: true, says: "no: no certutil", err: "the system: no certutil", step: "install it"},
		{name: "dry, a program is missing", store: store{cannot: "no certutil", step: "install it"}, in: true, dry: true, says: "would add|would update|cannot: no certutil"},
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
			said := ""
			if err != nil {
				said = err.Error()
			}
			if changed != tt.changed || said != tt.err || nextStep(err) != tt.step {
				t.Errorf("changed: %v; %q, next step %q", changed, said, nextStep(err))
			}
			want := strings.Split(tt.says, "|")
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
	browsers := store{name: "browsers", where: "there", cannot: "no certutil", step: "install it"}
	var out buffer
	err := changeStores(&System{Stdout: &out}, []store{system, browsers}, "/ca.pem", true, false)
	if text := out.String(); err == nil || err.Error() != "the browsers: no certutil" || nextStep(err) != "install it" ||
		!strings.Contains(text, "system       now trusts it: here\n") || !strings.Contains(text, "browsers     no: no certutil\n") || !strings.Contains(text, "restart running programs") {
		t.Errorf("%v, next step %q\n%s", err, nextStep(err), text)
	}
	system.change = func(bool) error { return errors.New("disk full") }
	err = changeStores(&System{Stdout: &out}, []store{system, browsers}, "/ca.pem", true, false)
	if err == nil || err.Error() != "the system: disk full; the browsers: no certutil" || nextStep(err) != "--dry-run prints the commands, which can be run by hand; install it" {
		t.Errorf("%v, next step %q", err, nextStep(err))
	}
}
