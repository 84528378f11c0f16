// Package page tests the page at / in Chromium: its controls, its messages when a connection fails, and whether the page can be used
// with a keyboard, with a screen reader (as far as axe-core can tell), in dark colors and on a narrow screen. With -shots, the tests
// write the pictures in docs/.
package page
