//go:build linux && (386 || s390x)

package reactor

// sysAccept4 is missing in package syscall, which goes through socketcall on these two. Linux has it there since 4.3.
const sysAccept4 = 364
