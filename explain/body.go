package explain

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
	"unicode/utf16"

	"github.com/andybalholm/brotli"
)

// decodeBody decodes the beginning of a body to text: it removes known content codings (RFC 9110 §8.4.1), and converts UTF-16 to
// UTF-8. Some servers encode bodies although the request accepts no coding. The result has the same size limit as the input.
func (h *head) decodeBody() {
	codings := elements(h.values("Content-Encoding"))
	for i := len(codings) - 1; i >= 0; i-- {
		plain, ok := decoded(strings.ToLower(codings[i]), h.body)
		if !ok {
			h.body = fmt.Appendf(nil, "(the body is encoded with %s, which is not decoded here)", oneLine(codings[i]))
			return
		}
		h.body = plain
	}
	_, charset, _ := strings.Cut(strings.ToLower(h.value("Content-Type")), "charset=")
	h.body = fromUTF16(h.body, strings.Trim(charset, `"; `))
}

// decoded decodes the received part of a body with one coding, and reports whether the coding is known.
func decoded(coding string, b []byte) ([]byte, bool) {
	var r io.Reader
	var err error
	switch coding {
	case "identity", "":
		return b, true
	case "gzip", "x-gzip":
		r, err = gzip.NewReader(bytes.NewReader(b))
	case "deflate": // the zlib format; some servers send raw DEFLATE
		if r, err = zlib.NewReader(bytes.NewReader(b)); err != nil {
			r, err = flate.NewReader(bytes.NewReader(b)), nil
		}
	case "br": // Brotli (RFC 7932)
		r = brotli.NewReader(bytes.NewReader(b))
	default:
		return nil, false
	}
	if err != nil {
		return b, true // the body is not in the named coding: display the bytes as they are
	}
	plain, err := io.ReadAll(io.LimitReader(r, 2*maxBody))
	if err != nil && len(plain) == 0 {
		return b, true
	}
	return plain, true
}

// fromUTF16 converts b to UTF-8 if its byte order mark or the charset says that it is UTF-16. Otherwise it returns b.
func fromUTF16(b []byte, charset string) []byte {
	var order binary.ByteOrder
	switch {
	case bytes.HasPrefix(b, []byte{0xff, 0xfe}):
		order, b = binary.LittleEndian, b[2:]
	case bytes.HasPrefix(b, []byte{0xfe, 0xff}):
		order, b = binary.BigEndian, b[2:]
	case charset == "utf-16le":
		order = binary.LittleEndian
	case charset == "utf-16be", charset == "utf-16":
		order = binary.BigEndian
	default:
		return b
	}
	units := make([]uint16, len(b)/2)
	for i := range units {
		units[i] = order.Uint16(b[2*i:])
	}
	return []byte(string(utf16.Decode(units)))
}
