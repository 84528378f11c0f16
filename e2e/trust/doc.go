// Package trust tests "handfast cert trust" and "cert untrust" with the system's trust store and those of Chromium and Firefox, and
// with the programs that use them: curl, openssl and both browsers.
package trust
