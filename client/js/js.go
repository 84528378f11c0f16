// Package js contains the browser client of channels, an ES module. The directory has the layout of an npm package.
package js

import _ "embed" // required for embedding Module

// Module is the source of channels.js.
//
//go:embed channels.js
var Module []byte
