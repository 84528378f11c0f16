// Package page tests the page at / in Chromium: what it offers, what it says when a connection fails, and that it can be used with a
// keyboard, by a screen reader (as far as axe-core can tell), in dark colours and on a narrow screen. With -shots it writes the
// pictures of docs/.
package page
