package loop

// Package syscall lacks these numbers on this architecture, where it uses socketcall(2).
const (
	sysSocket     = 359
	sysConnect    = 362
	sysAccept4    = 364
	sysSetsockopt = 366
	sysShutdown   = 373
)
