// Package voices runs servers of Python that other projects use, as Debian has them, with one fault each, and holds what
// "handfast explain" says about it.
package voices
