// Package proxies puts nginx, HAProxy and Caddy, as Debian has them, in front of a "handfast serve", configured right
// and configured wrong, and holds two things: what is right works, and "handfast explain" names what is wrong.
//
// Every proxy runs on a loopback port of its own, from a configuration in a directory of the test, as the user of the
// test, and ends with it.
package proxies
