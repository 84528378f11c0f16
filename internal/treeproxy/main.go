// Treeproxy creates a Go module proxy from the working tree: files for GOPROXY=file://DIR, with the product and the library as
// their users would download them. It needs no network.
//
//	go run ./internal/treeproxy -version v1.2.3 DIR
//
// Both modules get the given version. The go.mod files are unchanged.
package main

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// product is the path of the root module. The library is in the folder of the same name below it.
const (
	product = "github.com/handfast/handfast"
	library = "websocket"
)

func main() {
	version := flag.String("version", "", "the `version` that both modules get")
	flag.Parse()
	if *version == "" || flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: treeproxy -version v1.2.3 DIR")
		os.Exit(2)
	}
	if err := write(flag.Arg(0), *version); err != nil {
		fmt.Fprintln(os.Stderr, "treeproxy:", err)
		os.Exit(1)
	}
}

// write writes both modules below dir.
func write(dir, version string) error {
	files, err := treeFiles()
	if err != nil {
		return err
	}
	nested := nestedModules(files)
	var own, lib []string
	for _, f := range files {
		folder, _, _ := strings.Cut(f, "/")
		switch {
		case folder == library:
			lib = append(lib, f)
		case !slices.ContainsFunc(nested, func(m string) bool { return strings.HasPrefix(f, m) }):
			own = append(own, f)
		}
	}
	if err := writeModule(dir, product, version, "", own); err != nil {
		return err
	}
	return writeModule(dir, product+"/"+library, version, library+"/", lib)
}

// treeFiles returns the regular files that git tracks or would add, slash-separated and relative to the root.
func treeFiles() ([]string, error) {
	out, err := exec.Command("git", "ls-files", "-co", "-z", "--exclude-standard", "--deduplicate").Output()
	if err != nil {
		return nil, fmt.Errorf("git ls-files: %w", err)
	}
	var files []string
	for f := range strings.SplitSeq(string(out), "\x00") {
		if info, err := os.Lstat(filepath.FromSlash(f)); f != "" && err == nil && info.Mode().IsRegular() {
			files = append(files, f)
		}
	}
	return files, nil
}

// nestedModules returns the folders of the modules below the root, each with a trailing slash.
func nestedModules(files []string) []string {
	var all []string
	for _, f := range files {
		if m, ok := strings.CutSuffix(f, "go.mod"); ok && strings.HasSuffix(m, "/") {
			all = append(all, m)
		}
	}
	return all
}

// writeModule writes a proxy's files for one version of a module: folder is the module's location in the tree, with a trailing
// slash, and files are the module's files.
func writeModule(dir, path, version, folder string, files []string) error {
	at := filepath.Join(dir, filepath.FromSlash(path), "@v")
	if err := os.MkdirAll(at, 0o755); err != nil {
		return err
	}
	info, err := json.Marshal(struct {
		Version string
		Time    time.Time
	}{version, time.Now().UTC().Truncate(time.Second)})
	if err != nil {
		return err
	}
	mod, err := os.ReadFile(filepath.FromSlash(folder + "go.mod"))
	if err != nil {
		return err
	}
	var packed bytes.Buffer
	if err := pack(&packed, path+"@"+version+"/", folder, files); err != nil {
		return err
	}
	for name, data := range map[string][]byte{
		"list": []byte(version + "\n"), version + ".info": info, version + ".mod": mod, version + ".zip": packed.Bytes(),
	} {
		if err := os.WriteFile(filepath.Join(at, name), data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// pack writes files as the zip file of a module: prefix replaces the folder in their names.
func pack(w io.Writer, prefix, folder string, files []string) error {
	z := zip.NewWriter(w)
	for _, f := range files {
		data, err := os.ReadFile(filepath.FromSlash(f))
		if err != nil {
			return err
		}
		to, err := z.Create(prefix + strings.TrimPrefix(f, folder))
		if err != nil {
			return err
		}
		if _, err := to.Write(data); err != nil {
			return err
		}
	}
	return z.Close()
}
