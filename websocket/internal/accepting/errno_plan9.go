package accepting

// Plan 9 has no error numbers.
var failedConnections, lacks []error
