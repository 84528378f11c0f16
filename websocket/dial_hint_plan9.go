package websocket

// tcpHint returns "": Plan 9 has no error numbers for network failures.
func tcpHint(error) string { return "" }
