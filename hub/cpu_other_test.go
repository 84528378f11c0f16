//go:build !unix

package hub_test

import "time"

// cpu returns 0 on systems where the CPU time is not available.
func cpu() time.Duration { return 0 }
