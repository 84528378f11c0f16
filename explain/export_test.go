package explain

import "io"

// Golden exports golden for the package explain_test.
var Golden = golden

// SetRand sets the source of random bytes for keys.
func SetRand(o *Options, r io.Reader) { o.rand = r }

// KnownResponses is the number of responses in TestRealPrograms.
var KnownResponses = len(knownResponses)
