package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// adminTokenVariable is the environment variable that contains the token of an admin listener.
const adminTokenVariable = "HANDFAST_ADMIN_TOKEN"

// adminTimeout is the timeout for a request to an admin listener.
const adminTimeout = 10 * time.Second

// adminListener is the admin listener of a running server.
type adminListener struct {
	sys   *System
	addr  string
	what  string // the kind of server, for errors
	where string // the place where users find the address, for errors
}

// newAdminListener returns the admin listener that --admin names: host:port, or the URL that a server prints when it starts.
func newAdminListener(sys *System, flag, what string) (*adminListener, error) {
	scheme, addr := listenScheme(flag)
	if scheme == "https" {
		return nil, usagef("write host:port, such as "+defaultAdmin, "--admin %q: admin listeners speak HTTP without TLS", flag)
	}
	if err := checkListen("--admin", addr); err != nil {
		return nil, err
	}
	a := &adminListener{sys: sys, addr: addr, what: what}
	if a.where = "handfast balance prints this address when it starts, by default " + defaultBalanceAdmin; what != "balancer" {
		a.where += "; handfast serve has an admin listener only with --admin or the key admin.address"
	}
	return a, nil
}

// do makes a request, and returns the status and the body of the response. If the caller does not expect this response from an admin
// listener, checkAdmin returns the reason.
func (a *adminListener) do(ctx context.Context, timeout time.Duration, method, path string) (int, []byte, error) {
	bounded, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	r, err := http.NewRequestWithContext(bounded, method, "http://"+a.addr+path, nil)
	if err != nil {
		return 0, nil, err
	}
	token := a.sys.Getenv(adminTokenVariable)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }} // no admin listener redirects
	resp, err := client.Do(r)
	if ctx.Err() != nil {
		return 0, nil, context.Cause(ctx)
	}
	if err != nil {
		return 0, nil, a.requestError(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	if err != nil {
		return 0, nil, err
	}
	switch {
	case resp.StatusCode == http.StatusMisdirectedRequest && strings.HasPrefix(string(text), "the admin listener "):
		_, port, _ := net.SplitHostPort(a.addr) // checkListen has checked the address
		return 0, nil, &hinted{fmt.Errorf("%s: %s", a.addr, firstLine(text)), "name it by a loopback address: --admin 127.0.0.1:" + port}
	case resp.StatusCode != http.StatusUnauthorized || !strings.Contains(resp.Header.Get("WWW-Authenticate"), `realm="handfast admin"`):
		return resp.StatusCode, text, nil
	case token == "":
		return 0, nil, &hinted{fmt.Errorf("the admin listener at %s requires a token", a.addr), "set " + adminTokenVariable}
	}
	return 0, nil, &hinted{fmt.Errorf("the admin listener at %s does not accept the token of %s", a.addr, adminTokenVariable),
		"set the variable to the " + a.what + "'s admin.token"}
}

// requestError returns the error for a request without a response.
func (a *adminListener) requestError(err error) error {
	if e, ok := err.(*url.Error); ok { //nolint:errorlint // http.Client.Do returns a *url.Error without wrapping it
		err = e.Err
	}
	op, ok := errors.AsType[*net.OpError](err)
	if ok && op.Op == "dial" || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) {
		return &hinted{fmt.Errorf("the admin listener at %s cannot be reached: %w", a.addr, err),
			"check that the " + a.what + " is running, and that --admin names its admin listener: " + a.where}
	}
	return a.notAdmin("it does not answer with HTTP: " + err.Error())
}

// notAdmin returns the error for an address that is not an admin listener.
func (a *adminListener) notAdmin(why string) error {
	return &hinted{fmt.Errorf("%s is not an admin listener: %s", a.addr, why),
		"give the address of the admin listener with --admin, not that for clients: " + a.where}
}

// checkAdmin returns the error for an unexpected response, after a second request to find out what listens at the address. If it is not an
// admin listener, the error says so. If it is, checkAdmin returns nil. If the second request fails, checkAdmin returns that error.
func (a *adminListener) checkAdmin(ctx context.Context, request string, status int) error {
	index, text, err := a.do(ctx, adminTimeout, http.MethodGet, "/")
	if err != nil || index == http.StatusOK && strings.HasPrefix(string(text), "handfast admin\n") {
		return err
	}
	return a.notAdmin(strings.TrimSpace(fmt.Sprintf("it answered %s with %d %s", request, status, http.StatusText(status))))
}

// firstLine returns the first line of a response.
func firstLine(text []byte) string {
	line, _, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
	return line
}
