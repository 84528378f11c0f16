package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/handfast/handfast/internal/freename"
)

// outFlags are the flags for the output of a command.
type outFlags struct {
	file  string
	force bool
	flag  string      // the name of the flag for the file; "" means output
	mode  fs.FileMode // the permissions of a new file; 0 means 0644
}

// register adds the flags to a command.
func (o *outFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&o.file, "output", "o", "", "write to this `file`, not to standard output; it must not exist yet, unless --force is given")
	o.registerForce(cmd)
}

// registerForce adds the flag to overwrite.
func (o *outFlags) registerForce(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&o.force, "force", false, "overwrite the file of --"+o.name())
}

func (o *outFlags) name() string { return cmp.Or(o.flag, "output") }

// exists is the error for a file that may not be overwritten.
func (o *outFlags) exists() error {
	return &hinted{fmt.Errorf("%s already exists", o.file),
		"write to another file: --" + o.name() + " " + shellQuote(freename.Of(o.file)) + "; --force overwrites"}
}

// check returns an error if write would fail because the file exists.
func (o *outFlags) check() error {
	if _, err := os.Lstat(o.file); err == nil && !o.force {
		return o.exists()
	}
	return nil
}

// write writes to the file, or to standard output if there is none. An existing file is overwritten only with --force.
func (o *outFlags) write(sys *System, text string) error {
	if o.file == "" {
		_, err := io.WriteString(sys.Stdout, text)
		return err
	}
	mode, how := o.mode, os.O_WRONLY|os.O_CREATE|os.O_EXCL
	if mode == 0 {
		mode = 0o644
	}
	if o.force {
		how = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	}
	f, err := os.OpenFile(o.file, how, mode)
	if errors.Is(err, fs.ErrExist) {
		return o.exists()
	}
	if err != nil {
		return &hinted{err, "name a file that this user may write, in an existing directory, with --" + o.name()}
	}
	if _, err := io.WriteString(f, text); err != nil {
		return errors.Join(err, f.Close())
	}
	return f.Close()
}
