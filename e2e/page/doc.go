// Package page tests the page at / in Chromium: its controls, its messages when a connection fails, and whether it can be used with
// a keyboard, by a screen reader (as far as axe-core can tell), in dark colors and on a narrow screen. With -shots it writes the
// pictures of docs/.
package page
