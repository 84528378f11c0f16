// faye-websocket, websocket, rpc-websockets, peer, aedes, y-websocket and livereload.
const http = require('http')

const HOST = '127.0.0.1'

const faye = (options, protocols, use = ws => ws.on('message', e => ws.send(e.data)), path) => port => {
	const WebSocket = require('faye-websocket')
	http.createServer((_, res) => res.writeHead(404).end()).on('upgrade', (req, socket, head) => {
		if (path && req.url !== path) return // as many examples do: nobody answers
		if (WebSocket.isWebSocket(req)) use(new WebSocket(req, socket, head, protocols, options), req)
	}).listen(port, HOST)
}
exports.faye = faye({}, [])
exports.fayeDeflate = faye({ extensions: [require('permessage-deflate')] }, [])
exports.fayeProtocol = faye({}, ['chat.v2'])
exports.fayePath = faye({}, [], undefined, '/faye')
exports.faySmall = faye({ maxLength: 20 }, [])
exports.fayeClose = faye({}, [], ws => ws.on('open', () => ws.close(4001, 'no session')))
exports.fayeEarly = faye({}, [], ws => ws.close(4001, 'no session'))

const turtle = (accept, options) => port => {
	const { server: WebSocketServer } = require('websocket')
	const s = http.createServer((_, res) => res.writeHead(404).end())
	s.listen(port, HOST)
	const w = new WebSocketServer({ httpServer: s, ...options })
	if (accept) w.on('request', accept)
}
const echoUTF8 = c => c.on('message', m => m.type === 'utf8' ? c.sendUTF(m.utf8Data) : c.sendBytes(m.binaryData))
exports.turtle = turtle(r => echoUTF8(r.accept(null, r.origin)))
exports.turtleOrigin = turtle(r => r.origin === 'https://app.example' ? echoUTF8(r.accept(null, r.origin)) : r.reject())
exports.turtleProtocol = turtle(r => echoUTF8(r.accept('echo-protocol', r.origin)))
exports.turtleChecked = turtle(r => r.requestedProtocols.includes('echo-protocol') ? echoUTF8(r.accept('echo-protocol', r.origin)) : r.reject(400, 'echo-protocol required'))
exports.turtlePath = turtle(r => r.resource === '/chat' ? echoUTF8(r.accept(null, r.origin)) : r.reject(404, 'No such channel'))
exports.turtleSmall = turtle(r => echoUTF8(r.accept(null, r.origin)), { maxReceivedFrameSize: 20 })
exports.turtleForgotten = turtle(null)

exports.rpc = port => {
	const { Server } = require('rpc-websockets')
	new Server({ host: HOST, port, path: '/rpc' }).register('sum', ([a, b]) => a + b)
}

exports.peer = port => require('peer').PeerServer({ host: HOST, port, path: '/app', key: 'secret' })
exports.peerLimit = port => require('peer').PeerServer({ host: HOST, port, path: '/', concurrent_limit: 0 })

const aedes = authenticate => port => {
	const broker = require('aedes')()
	if (authenticate) broker.authenticate = authenticate
	const s = http.createServer((_, res) => res.writeHead(404).end())
	require('websocket-stream').createServer({ server: s }, broker.handle)
	s.listen(port, HOST)
}
exports.aedes = aedes()
exports.aedesTCP = port => require('net').createServer(require('aedes')().handle).listen(port, HOST)

exports.yjs = port => {
	const { setupWSConnection } = require('y-websocket/bin/utils')
	const s = http.createServer((_, res) => res.writeHead(200, { 'Content-Type': 'text/plain' }).end('okay'))
	const w = new (require('ws').Server)({ noServer: true })
	w.on('connection', setupWSConnection)
	s.on('upgrade', (req, socket, head) => w.handleUpgrade(req, socket, head, ws => w.emit('connection', ws, req)))
	s.listen(port, HOST)
}
exports.yjsToken = port => {
	const { setupWSConnection } = require('y-websocket/bin/utils')
	const s = http.createServer((_, res) => res.writeHead(200, { 'Content-Type': 'text/plain' }).end('okay'))
	const w = new (require('ws').Server)({ noServer: true })
	w.on('connection', setupWSConnection)
	s.on('upgrade', (req, socket, head) => {
		if (!req.url.includes('token=right')) {
			socket.write('HTTP/1.1 401 Unauthorized\r\n\r\n')
			socket.destroy()
			return
		}
		w.handleUpgrade(req, socket, head, ws => w.emit('connection', ws, req))
	})
	s.listen(port, HOST)
}
exports.yjsWeb = port => http.createServer((_, res) => res.writeHead(200, { 'Content-Type': 'text/plain' }).end('okay')).listen(port, HOST)

exports.livereload = port => require('livereload').createServer({ bindHost: HOST, port })
exports.livereloadTLS = (port, pem, key) => require('livereload').createServer({ bindHost: HOST, port,
	https: { cert: require('fs').readFileSync(pem), key: require('fs').readFileSync(key) } })
