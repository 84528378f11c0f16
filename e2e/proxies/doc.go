// Package proxies runs nginx, HAProxy and Caddy, as packaged by Debian, in front of "handfast serve", with correct and incorrect
// configurations. It tests that the correct configurations work, and that "handfast explain" diagnoses the incorrect ones.
//
// Every proxy runs until the test ends, on its own loopback port, as the user of the test, with a configuration in a temporary
// directory.
package proxies
