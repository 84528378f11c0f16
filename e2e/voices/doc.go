// Package voices runs Debian's packages of Python servers, with at most one fault each, and tests what "handfast explain" reports about it.
package voices
