// Package voices runs servers of Python that other projects use, as Debian has them, with one fault each, and holds what
// "handfast explain" says about it. A program that is not installed is skipped, and the reason names its package.
package voices
