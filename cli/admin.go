package cli

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// adminTokenVariable is the environment variable that contains the token of an admin listener.
const adminTokenVariable = "HANDFAST_ADMIN_TOKEN"

// adminTimeout is the timeout for a request to an admin listener.
const adminTimeout = 10 * time.Second

// askAdmin makes a request to the admin listener of a server, and returns the status and the body of the response. what names the
// kind of server in errors.
func askAdmin(ctx context.Context, sys *System, bound time.Duration, addr, what, method, path string) (int, []byte, error) {
	bounded, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	r, err := http.NewRequestWithContext(bounded, method, "http://"+addr+path, nil)
	if err != nil {
		return 0, nil, err
	}
	token := sys.Getenv(adminTokenVariable)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(r)
	if ctx.Err() != nil {
		return 0, nil, context.Cause(ctx)
	}
	if err != nil {
		return 0, nil, &hinted{fmt.Errorf("the admin listener at %s cannot be reached: %w", addr, unwrapURL(err)),
			"check that the " + what + " is running, and that --admin names its admin listener"}
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	switch {
	case err != nil:
		return 0, nil, err
	case resp.StatusCode != http.StatusUnauthorized:
	case token == "":
		return 0, nil, &hinted{fmt.Errorf("the admin listener at %s requires a token", addr), "set " + adminTokenVariable}
	default:
		return 0, nil, &hinted{fmt.Errorf("the admin listener at %s does not accept the token of %s", addr, adminTokenVariable),
			"set it to the " + what + "'s admin.token"}
	}
	return resp.StatusCode, text, nil
}

// unwrapURL returns the cause of an error of net/http, without the URL.
func unwrapURL(err error) error {
	if e, ok := err.(*url.Error); ok { //nolint:errorlint // it is what http.Client.Do returns
		return e.Err
	}
	return err
}
