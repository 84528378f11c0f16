package cli

import (
	"cmp"
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
)

// build is the build information of a binary.
type build struct {
	Version  string `json:"version"`            // the version of the module; "devel" for a build from a working tree
	Revision string `json:"revision,omitempty"` // the revision of the source, followed by "+" if the source was modified
	Time     string `json:"time,omitempty"`     // the time of that revision
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func newVersion(sys *System) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Example: `  handfast version
  handfast version --json`,
		Args: noArgs,
		RunE: run(func(*cobra.Command, []string) error {
			if asJSON {
				return json.NewEncoder(sys.Stdout).Encode(currentBuild())
			}
			return printVersion(sys)
		}),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON object")
	return cmd
}

// addVersionFlag adds the flag --version, which has the same effect as "handfast version". Without it, "handfast" alone prints the help.
func addVersionFlag(root *cobra.Command, sys *System) {
	version := root.Flags().Bool("version", false, "print the version")
	root.RunE = run(func(cmd *cobra.Command, _ []string) error {
		if *version {
			return printVersion(sys)
		}
		return cmd.Help()
	})
}

// printVersion prints one line about this binary.
func printVersion(sys *System) error {
	_, err := fmt.Fprintln(sys.Stdout, currentBuild())
	return err
}

// currentBuild returns the build information of this binary.
func currentBuild() build {
	info, _ := debug.ReadBuildInfo()
	return readBuild(info)
}

// readBuild converts the build information, which may be nil.
func readBuild(info *debug.BuildInfo) build {
	b := build{Version: "devel", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if info == nil {
		return b
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		b.Version = v
	}
	b.Go = cmp.Or(info.GoVersion, b.Go)
	changed := false
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.time":
			b.Time = s.Value
		case "vcs.modified":
			changed = s.Value == "true"
		}
	}
	if changed && b.Revision != "" {
		b.Revision += "+"
	}
	return b
}

// String returns one line: "handfast v1.2.3 (go1.26.8, linux/amd64, 0123456789ab)".
func (b build) String() string {
	parts := []string{b.Go, b.Platform}
	if b.Revision != "" {
		hash, changed := strings.CutSuffix(b.Revision, "+")
		hash = hash[:min(len(hash), 12)]
		if changed {
			hash += "+"
		}
		parts = append(parts, hash)
	}
	return fmt.Sprintf("handfast %s (%s)", b.Version, strings.Join(parts, ", "))
}
