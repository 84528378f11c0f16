// Package pusher runs the SDKs of the Pusher-compatible protocol with the binary: pusher-js and laravel-echo as clients, and the
// Node library as the application. It needs "npm ci" in this folder. Its tests have the build tag e2e.
package pusher
