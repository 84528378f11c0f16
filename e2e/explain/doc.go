// Package explain runs Debian's packages of Python WebSocket servers, each with at most one fault. It tests what "handfast explain"
// reports about the servers, and that "handfast dial" prints every message that they send.
package explain
