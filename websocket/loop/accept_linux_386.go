package loop

// sysAccept4 is not in package syscall, which goes through socketcall(2) on this architecture.
const sysAccept4 = 364
