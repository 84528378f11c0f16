package loop

// These are not in package syscall, which goes through socketcall(2) on this architecture.
const (
	sysSocket     = 359
	sysConnect    = 362
	sysAccept4    = 364
	sysSetsockopt = 366
	sysShutdown   = 373
)
