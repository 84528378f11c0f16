package explain

import "io"

// Golden is golden, for tests of the package explain_test.
var Golden = golden

// SetRand has the keys of a run come from r.
func SetRand(o *Options, r io.Reader) { o.rand = r }
