package proxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"strconv"

	"github.com/handfast/handfast/websocket/handshake"
)

// maxBody is the number of bytes kept of the body of a refusal.
const maxBody = 64 << 10

// answer reads the upstream's response to req and checks it. If the error is nil, the response is a valid 101.
func (d *Dialer) answer(ctx context.Context, nc net.Conn, req *handshake.Request) (*Link, error) {
	resp, late, err := d.readHead(ctx, nc)
	if err != nil {
		return nil, err
	}
	if resp.Status >= http.StatusMultipleChoices {
		return nil, d.refused(resp, io.MultiReader(bytes.NewReader(late), nc))
	}
	return d.link(ctx, resp, req, bytes.Clone(late))
}

// link returns the Link for a 101, after checking it. The Link keeps late and the header of resp.
func (d *Dialer) link(ctx context.Context, resp *handshake.Response, req *handshake.Request, late []byte) (*Link, error) {
	subprotocol, extensions, v := handshake.Verify(resp, req)
	if v != nil {
		return nil, d.failure(ctx, StageAnswer, v)
	}
	return &Link{
		Late: late, Header: strip(resp.Header),
		Subprotocol: subprotocol, Extensions: handshake.FormatExtensions(extensions),
	}, nil
}

// readHead reads the head of the final response, skipping interim ones, and returns the bytes received after it. handshake.Head
// limits its size.
func (d *Dialer) readHead(ctx context.Context, nc net.Conn) (*handshake.Response, []byte, error) {
	var head handshake.Head
	buf := make([]byte, 4<<10)
	for {
		n, err := nc.Read(buf)
		if n > 0 {
			resp, late, v := head.Feed(buf[:n])
			if v != nil {
				return nil, nil, d.failure(ctx, StageAnswer, v)
			}
			if resp != nil {
				return resp, late, nil
			}
		}
		if err != nil {
			return nil, nil, d.failure(ctx, StageHandshake, noResponseError(err))
		}
	}
}

// noResponseError converts an error of a connection to the reason why there is no response.
func noResponseError(err error) error {
	if err == io.EOF { //nolint:errorlint // a connection returns io.EOF unwrapped
		return fmt.Errorf("the upstream closed the connection without a complete response: %w", io.ErrUnexpectedEOF)
	}
	return err
}

// refused returns a response in the form in which it is passed on to the client. Its body may be cut short.
func (d *Dialer) refused(resp *handshake.Response, rest io.Reader) *Refused {
	r := &Refused{Upstream: d.upstream, Status: resp.Status, Reason: resp.Reason, Header: endToEnd(resp.Header, nil)}
	body, err := bodyOf(resp, rest)
	if err == nil {
		r.Body, err = io.ReadAll(io.LimitReader(body, maxBody+1))
	}
	if r.Cut = err != nil || len(r.Body) > maxBody; r.Cut {
		if r.Body = r.Body[:min(len(r.Body), maxBody)]; resp.Header.Get("Content-Encoding") != "" {
			r.Body = nil // a part of the body cannot be decoded
			r.Header.Del("Content-Encoding")
		}
	}
	return r
}

var errFraming = errors.New("the header of the response does not determine the length of its body")

// bodyOf returns the body of a response (RFC 9112 §6.3). The error is errFraming if the header does not determine the length.
func bodyOf(resp *handshake.Response, rest io.Reader) (io.Reader, error) {
	lengths, codings := resp.Header["Content-Length"], resp.Header["Transfer-Encoding"]
	switch {
	case resp.Status == http.StatusNoContent, resp.Status == http.StatusNotModified:
		return bytes.NewReader(nil), nil
	case len(codings) == 1 && len(lengths) == 0 && folded(codings[0]) == "chunked":
		return httputil.NewChunkedReader(rest), nil
	case len(codings) > 0 || len(lengths) > 1:
		return nil, errFraming
	case len(lengths) == 0:
		return rest, nil
	}
	n, err := strconv.ParseUint(lengths[0], 10, 62)
	if err != nil {
		return nil, errFraming
	}
	return &exactReader{rest, int64(n)}, nil
}

// exactReader reads n bytes, and returns an error if there are fewer.
type exactReader struct {
	r io.Reader
	n int64
}

func (e *exactReader) Read(p []byte) (int, error) {
	if e.n == 0 {
		return 0, io.EOF
	}
	n, err := e.r.Read(p[:min(int64(len(p)), e.n)])
	if e.n -= int64(n); e.n > 0 && err == io.EOF { //nolint:errorlint // a connection returns io.EOF unwrapped
		err = io.ErrUnexpectedEOF
	}
	return n, err
}
