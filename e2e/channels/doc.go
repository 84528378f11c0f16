// Package channels runs the browser client of channels, the module in client/js, in Node against the binary, and checks its types and
// what its npm package has. It needs "npm ci" in this folder. Its tests have the build tag e2e.
package channels
