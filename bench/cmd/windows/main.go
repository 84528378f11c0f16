// Command windows measures how many more bytes are sent with smaller windows of permessage-deflate with context takeover (RFC
// 7692), and prints a Markdown table. It compresses JSON messages with zlib, as browsers, Node and Python do, and with this
// library's server. It needs Node.js.
package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
)

func main() {
	text := flag.String("text", "../docs/rfc6455.txt", "file with English text, for chat messages")
	node := flag.String("node", "node", "the program of Node.js")
	flag.Parse()
	if err := run(*text, *node, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

const (
	minBits = 9
	maxBits = 15
	total   = 256 << 10 // total bytes of the messages of one size
)

func run(textFile, node string, out io.Writer) error {
	text, err := os.ReadFile(textFile)
	if err != nil {
		return err
	}
	fmt.Fprint(out, "| messages | compressor |")
	for bits := minBits; bits <= maxBits; bits++ {
		fmt.Fprintf(out, " %d bits |", bits)
	}
	fmt.Fprint(out, "\n|---|---|", string(bytes.Repeat([]byte("---:|"), maxBits-minBits+1)), "\n")
	for _, s := range shapes(text) {
		for _, size := range []int{200, 500, 1 << 10, 2 << 10, 4 << 10, 8 << 10} {
			var messages [][]byte
			for i := range max(total/size, 32) {
				messages = append(messages, s.make(uint64(i), size))
			}
			zlib, err := zlibSizes(node, messages)
			if err != nil {
				return err
			}
			ours, err := ourSizes(messages)
			if err != nil {
				return err
			}
			row(out, s.name+", "+strconv.Itoa(size)+" B", "zlib", messages, zlib)
			row(out, "", "ours", messages, ours)
		}
	}
	return nil
}

// row prints the compressed size for each window, in percent.
func row(out io.Writer, name, compressor string, messages [][]byte, sizes []int) {
	fmt.Fprintf(out, "| %s | %s |", name, compressor)
	for _, n := range sizes {
		fmt.Fprintf(out, " %.1f |", 100*float64(n)/float64(len(bytes.Join(messages, nil))))
	}
	fmt.Fprintln(out)
}

//go:embed zlib.mjs
var zlibScript string

// zlibSizes returns the size of messages compressed with zlib for each window size in bits. zlib uses its default level and memory,
// and is flushed after each message.
func zlibSizes(node string, messages [][]byte) ([]int, error) {
	ctx := context.Background()
	cmd := exec.CommandContext(ctx, node, "--input-type=module", "-e", zlibScript, strconv.Itoa(minBits), strconv.Itoa(maxBits))
	in, err := json.Marshal(messages)
	if err != nil {
		return nil, err
	}
	cmd.Stdin, cmd.Stderr = bytes.NewReader(in), os.Stderr
	answer, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("windows: %s: %w", node, err)
	}
	var sizes []int
	err = json.Unmarshal(answer, &sizes)
	return sizes, err
}
