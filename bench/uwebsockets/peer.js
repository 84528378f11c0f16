#!/usr/bin/env node
// A server with uWebSockets.js for cmd/compare. It takes the arguments of cmd/peer and answers like it, so cmd/compare can run it as
// uwebsockets@uwebsockets/peer.js. It has no TLS.
'use strict'

const { createInterface } = require('node:readline')
const { setFlagsFromString } = require('node:v8')
const { runInNewContext } = require('node:vm')
const uWS = require('@trufflesuite/uws-js-unofficial')

const args = process.argv.slice(2)
const value = (flag) => args[args.indexOf(flag) + 1]
if (args.includes('-tls')) throw new Error('uwebsockets: no TLS')

const broadcast = args.includes('-broadcast')
const compress = args.includes('-compress') ? value('-compress') : ''
const compression = { '': uWS.DISABLED, each: uWS.SHARED_COMPRESSOR | uWS.SHARED_DECOMPRESSOR,
  takeover: uWS.DEDICATED_COMPRESSOR | uWS.DEDICATED_DECOMPRESSOR }[compress]

const app = uWS.App().ws('/*', {
  compression,
  maxPayloadLength: 32 << 20,
  maxBackpressure: 0, // 0 means no limit
  idleTimeout: 120,
  sendPingsAutomatically: true,
  open: (ws) => { if (broadcast) ws.subscribe('all') },
  message: (ws, data, binary) => {
    if (!broadcast) return ws.send(data, binary, compress !== '')
    for (let times = new Uint8Array(data)[1] ?? 0; times > 0; times--) app.publish('all', data, binary)
  },
})
app.listen('127.0.0.1', 0, (socket) => console.log(`uwebsockets 127.0.0.1:${uWS.us_socket_local_port(socket)}`))

setFlagsFromString('--expose-gc')
const gc = runInNewContext('gc')
createInterface({ input: process.stdin })
  .on('line', () => { gc(); console.log(`gc heap=${process.memoryUsage().heapUsed}`) })
  .on('close', () => process.exit(0))
