package websocket

// outOfResources returns false: Plan 9 has no error numbers for this.
func outOfResources(error) bool { return false }
