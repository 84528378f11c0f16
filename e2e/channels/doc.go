// Package channels runs the browser client of channels, the module in client/js, in Node with the binary, and checks its types and
// the contents of its npm package. It needs "npm ci" in this folder. Its tests have the build tag e2e.
package channels
