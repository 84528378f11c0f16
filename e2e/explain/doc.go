// Package explain runs Debian's packages of Python WebSocket servers, each with at most one fault, and tests what "handfast explain"
// reports about them, and that "handfast dial" prints all that they send.
package explain
