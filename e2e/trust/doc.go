// Package trust tests "handfast cert trust" and "cert untrust" with the trust stores of the system, of Chromium and of Firefox, and with
// programs that use these stores: curl, openssl and both browsers.
package trust
