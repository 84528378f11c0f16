package websocket

// tcpHint returns "": Plan 9 has no numbers for what goes wrong in its network.
func tcpHint(error) string { return "" }
