// Package redisurl parses the URL of a Redis server.
package redisurl

import (
	"errors"
	"net"
	"net/url"

	"github.com/redis/rueidis"
)

// Parse returns the options of a client for a URL: redis://, rediss:// or unix://. With master_set and addr the client uses the
// sentinels of a group of servers, with addr alone the servers of a cluster. A parameter that the client would ignore, or treat as
// empty, is an error: a typo in its name could otherwise select another setup, such as a single server instead of those that
// sentinels find. The error contains no part of the URL, which may include a password.
func Parse(text string) (rueidis.ClientOption, error) {
	c, err := rueidis.ParseURL(text)
	if err != nil {
		return c, errors.New("not a valid redis://, rediss:// or unix:// URL")
	}
	u, err := url.Parse(text)
	if err != nil {
		return c, errors.New("not a valid URL")
	}
	for name, values := range u.Query() {
		switch name {
		case "db", "dial_timeout", "write_timeout", "skip_verify", "protocol", "client_cache", "max_retries", "client_name":
		case "addr":
			for _, addr := range values {
				if _, _, err := net.SplitHostPort(addr); err != nil {
					return c, errors.New("addr in the URL is not host:port")
				}
			}
		case "master_set":
			if values[0] == "" {
				return c, errors.New("master_set in the URL is empty")
			}
		default:
			return c, errors.New("the URL has an unknown parameter; master_set and addr are for Sentinel and Cluster")
		}
	}
	return c, nil
}
