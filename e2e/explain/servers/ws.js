// Servers with ws, and with Node's own http module alone.
const crypto = require('crypto')
const fs = require('fs')
const http = require('http')
const https = require('https')
const { WebSocketServer } = require('ws')

const HOST = '127.0.0.1'
const echo = ws => ws.on('message', (data, binary) => ws.send(data, { binary }))
const server = (port, options, each = echo) => new WebSocketServer({ host: HOST, port, path: '/ws', ...options }).on('connection', each)
const tls = (pem, key) => ({ cert: fs.readFileSync(pem), key: fs.readFileSync(key) })

exports.plain = port => server(port)
exports.deflate = port => server(port, { perMessageDeflate: { threshold: 0 } })
exports.origin = port => server(port, { verifyClient: ({ origin }) => origin === 'https://app.example' })
exports.token = port => server(port, {
	verifyClient: ({ req }, done) => {
		const token = new URL(req.url, 'http://x').searchParams.get('token')
		done(token === 'right', 401, token ? 'Invalid token' : 'Unauthorized')
	},
})
exports.bearer = port => server(port, { verifyClient: ({ req }) => req.headers.authorization === 'Bearer right' })
exports.subprotocol = port => server(port, { handleProtocols: offered => offered.has('chat.v2') && 'chat.v2' })
exports.small = port => server(port, { maxPayload: 64 })
exports.crash = port => server(port, {}, ws => ws.on('message', data => ws.send(JSON.parse(data).text)))
exports.crashOnOpen = port => server(port, {}, ws => ws.send(ws.session.name))
exports.close = (port, code, ...reason) => server(port, {}, ws => ws.close(Number(code), reason.join(' ')))
exports.terminate = port => server(port, {}, ws => ws.terminate())
exports.mute = port => server(port, { autoPong: false }, () => {})
exports.buffers = port => server(port, {}, ws => ws.on('message', data => ws.send(data)))
exports.tls = (port, pem, key) => {
	const s = https.createServer(tls(pem, key))
	new WebSocketServer({ server: s, path: '/ws' }).on('connection', echo)
	s.listen(port, HOST)
}

// Two servers of ws at one HTTP server, each with a path: the first one rejects what is for the second.
exports.two = port => {
	const s = http.createServer()
	new WebSocketServer({ server: s, path: '/chat' }).on('connection', echo)
	new WebSocketServer({ server: s, path: '/news' }).on('connection', echo)
	s.listen(port, HOST)
}

const upgrade = handle => port => http.createServer((_, res) => res.writeHead(404).end()).on('upgrade', handle).listen(port, HOST)
exports.destroy = upgrade((req, socket) => socket.destroy())
exports.forgotten = upgrade(async () => { await new Promise(() => {}) })
exports.bare401 = upgrade((req, socket) => { socket.write('HTTP/1.1 401 Unauthorized\r\n\r\n'); socket.destroy() })
exports.unattached = port => http.createServer((_, res) => res.end('ok')).listen(port, HOST)
exports.throwing = upgrade(req => { req.session.user.id.toString() })
exports.slow = upgrade((req, socket) => setTimeout(() => socket.end('HTTP/1.1 503 Service Unavailable\r\n\r\n'), 1000))

// A handshake that was written by hand, with one thing wrong.
const accept = (req, text = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11', form = 'base64') =>
	crypto.createHash('sha1').update(req.headers['sec-websocket-key'] + text).digest(form)
const head = (req, ...more) => ['HTTP/1.1 101 Switching Protocols', 'Upgrade: websocket', 'Connection: Upgrade',
	'Sec-WebSocket-Accept: ' + accept(req), ...more, '', ''].join('\r\n')
const byHand = text => upgrade((req, socket) => { socket.on('error', () => {}); socket.write(text(req)) })
const then = (...bytes) => byHand(req => Buffer.concat([Buffer.from(head(req)), Buffer.from(bytes)]))
exports.hex = byHand(req => head(req).replace(accept(req), accept(req, undefined, 'hex')))
exports.otherGUID = byHand(req => head(req).replace(accept(req), accept(req, '258EAFA5-E914-47DA-95CA-5AB5DC11B735')))
exports.noGUID = byHand(req => head(req).replace(accept(req), accept(req, '')))
exports.noConnection = byHand(req => head(req).replace('Connection: Upgrade\r\n', ''))
exports.fixedProtocol = byHand(req => head(req, 'Sec-WebSocket-Protocol: chat'))
exports.unaskedExtension = byHand(req => head(req, 'Sec-WebSocket-Extensions: x-webkit-deflate-frame'))
exports.unended = byHand(req => head(req).slice(0, -2))
exports.status200 = byHand(req => head(req).replace('101 Switching Protocols', '200 OK'))
exports.masked = then(0x81, 0x82, 1, 2, 3, 4, 0x68 ^ 1, 0x69 ^ 2)
exports.plainText = byHand(req => head(req) + 'welcome\n')
exports.invalidUTF8 = then(0x81, 2, 0xc3, 0x28)
exports.opcode = then(0x83, 0)
exports.longPing = then(0x89, 126, 0, 126, ...Buffer.alloc(126))
exports.fragmented = then(0x01, 1, 0x61, 0x81, 1, 0x62)
exports.compressed = then(0xc1, 2, 0x4b, 0x04)
exports.badCode = then(0x88, 2, 0x03, 0xed)
