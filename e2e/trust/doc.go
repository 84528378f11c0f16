// Package trust holds the tests of "handfast cert trust" and "cert untrust" on the system that they run on: its store of
// authorities, that of Chromium, and curl, openssl and Chromium which look there.
package trust
