// Package pty opens pseudo-terminals for tests. It has nothing where the system is not Linux.
package pty
