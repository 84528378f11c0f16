// Socket.IO in three versions, Engine.IO, SockJS and Primus.
const http = require('http')

const HOST = '127.0.0.1'
const listen = (port, attach, handler) => { const s = http.createServer(handler); attach(s); s.listen(port, HOST) }
const page = (_, res) => res.writeHead(404).end('no such page')

const v4 = options => port => listen(port, s => new (require('socket.io').Server)(s, options), page)
exports.v4 = v4({})
exports.v4polling = v4({ transports: ['polling'] })
exports.v4path = v4({ path: '/live/' })
exports.v4small = v4({ maxHttpBufferSize: 100 })
exports.v4old = v4({ allowEIO3: true })
exports.v4origin = v4({ allowRequest: (req, done) => done(null, req.headers.origin === 'https://app.example') })
exports.v4token = v4({ allowRequest: (req, done) => {
	const ok = new URL(req.url, 'http://x').searchParams.get('token') === 'right'
	done(ok ? null : 'unauthorized', ok)
} })
exports.v3 = port => listen(port, s => require('socket.io-v3')(s), page)
exports.v2 = port => listen(port, s => require('socket.io-v2')(s), page)
exports.v2origin = port => listen(port, s => require('socket.io-v2')(s, { origins: ['https://app.example:443'] }), page)

const engine = options => port => listen(port, s => require('engine.io').attach(s, options), page)
exports.engine = engine({})
exports.enginePolling = engine({ transports: ['polling'] })
exports.engineSmall = engine({ maxHttpBufferSize: 32 })

const sockjs = options => port => listen(port, s => {
	const echo = require('sockjs').createServer({ log() {}, ...options })
	echo.on('connection', conn => conn.on('data', m => conn.write(m)))
	echo.installHandlers(s, { prefix: '/echo' })
}, page)
exports.sockjs = sockjs({})
exports.sockjsWithout = sockjs({ websocket: false })

const primus = (options, prepare = () => {}) => port => listen(port, s => {
	const p = new (require('primus'))(s, { transformer: 'websockets', ...options })
	prepare(p)
	p.on('connection', spark => spark.on('data', m => spark.write(m)))
}, page)
exports.primus = primus({})
exports.primusPath = primus({ pathname: '/live' })
exports.primusToken = primus({}, p => p.authorize((req, done) => done(req.query.token === 'right' ? null : { statusCode: 403, message: 'token required' })))
exports.primusSmall = primus({ maxLength: 50 })
