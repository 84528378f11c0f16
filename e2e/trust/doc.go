// Package trust tests "handfast cert trust" and "cert untrust" with the system's trust store and Chromium's, and with the programs
// that use them: curl, openssl and Chromium.
package trust
