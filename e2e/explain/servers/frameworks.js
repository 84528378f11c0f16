// express-ws, express with ws, Fastify, Hono, Koa, graphql-ws and subscriptions-transport-ws.
const http = require('http')

const HOST = '127.0.0.1'
const echo = ws => ws.on('message', (data, binary) => ws.send(data, { binary }))
const express = () => require('express')()

const expressWS = build => port => {
	const app = express()
	require('express-ws')(app)
	build(app)
	app.listen(port, HOST)
}
exports.expressWS = expressWS(app => { app.get('/', (_, res) => res.send('home')); app.ws('/echo', echo) })
exports.expressWSAuth = expressWS(app => {
	app.use((req, res, next) => req.headers.authorization === 'Bearer right' ? next() : res.status(401).json({ error: 'missing token' }))
	app.ws('/echo', echo)
})
exports.expressWSThrow = expressWS(app => app.ws('/echo', () => { throw new Error('database is down') }))
exports.expressWSClose = expressWS(app => app.ws('/echo', ws => ws.close(1013, 'try later')))
exports.expressWSPage = expressWS(app => { app.ws('/echo', echo); app.use((_, res) => res.send('<!doctype html><title>Shop</title><div id=root></div>')) })

// app.ws is called, and another server listens than the one that express-ws listens to.
exports.expressWSServer = port => {
	const app = express()
	require('express-ws')(app)
	app.ws('/echo', echo)
	http.createServer(app).listen(port, HOST)
}

const expressAndWS = (options, check) => port => {
	const app = express()
	app.get('/', (_, res) => res.send('<!doctype html><title>Shop</title><div id=root></div>'))
	const s = http.createServer(app)
	const w = new (require('ws').WebSocketServer)({ noServer: true, ...options })
	w.on('connection', echo)
	s.on('upgrade', (req, socket, head) => check(req, socket, () => w.handleUpgrade(req, socket, head, ws => w.emit('connection', ws, req))))
	s.listen(port, HOST)
}
const refuse = (socket, status, body, type = 'text/plain') => {
	socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Type: ${type}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`)
}
exports.expressSession = expressAndWS({}, (req, socket, go) => /connect\.sid=right/.test(req.headers.cookie) ? go() : refuse(socket, '401 Unauthorized', ''))
exports.expressOrigin = expressAndWS({}, (req, socket, go) => req.headers.origin === 'https://app.example' ? go() : refuse(socket, '403 Forbidden', 'Origin not allowed'))
exports.expressLimit = expressAndWS({}, (req, socket) => refuse(socket, '429 Too Many Requests', 'slow down'))
exports.expressCSRF = expressAndWS({}, (req, socket, go) => req.url.includes('csrf=right') ? go() : refuse(socket, '403 Forbidden', '{"error":"invalid csrf token"}', 'application/json'))
exports.expressRoom = expressAndWS({}, (req, socket, go) => req.url === '/rooms/1' ? go() : refuse(socket, '404 Not Found', '{"error":"room not found"}', 'application/json'))
exports.expressAlone = port => {
	const app = express()
	app.get('*', (_, res) => res.send('<!doctype html><title>Shop</title><div id=root></div>'))
	app.listen(port, HOST)
}
exports.expressNoRoute = port => express().listen(port, HOST)
exports.expressRedirect = port => {
	const app = express()
	app.use((req, res) => res.redirect(301, 'https://' + req.hostname + req.url))
	app.listen(port, HOST)
}

const fastify = build => async port => {
	const app = require('fastify')()
	await build(app)
	await app.listen({ host: HOST, port })
}
const plugin = (app, options) => app.register(require('@fastify/websocket'), { options })
exports.fastify = fastify(async app => { await plugin(app); app.get('/ws', { websocket: true }, echo) })
exports.fastifyToken = fastify(async app => {
	await plugin(app)
	app.addHook('onRequest', async (req, reply) => { if (req.headers.authorization !== 'Bearer right') await reply.code(401).send({ error: 'Unauthorized' }) })
	app.get('/ws', { websocket: true }, echo)
})
exports.fastifyForgot = fastify(async app => { await plugin(app); app.get('/ws', async () => ({ hello: 'world' })) })
exports.fastifyWithout = fastify(async app => { app.get('/ws', { websocket: true }, async () => ({ hello: 'world' })) })
exports.fastifySmall = fastify(async app => { await plugin(app, { maxPayload: 20 }); app.get('/ws', { websocket: true }, echo) })
exports.fastifyThrow = fastify(async app => { await plugin(app); app.get('/ws', { websocket: true }, () => { throw new Error('boom') }) })
exports.fastifyVerify = fastify(async app => {
	await plugin(app, { verifyClient: (info, next) => next(info.origin === 'https://app.example') })
	app.get('/ws', { websocket: true }, echo)
})
exports.fastifySchema = fastify(async app => {
	await plugin(app)
	app.get('/ws', { websocket: true, schema: { querystring: { type: 'object', required: ['room'], properties: { room: { type: 'string' } } } } }, echo)
})

const hono = (build, inject = true) => port => {
	const { Hono } = require('hono')
	const app = new Hono()
	const { injectWebSocket, upgradeWebSocket } = require('@hono/node-ws').createNodeWebSocket({ app })
	build(app, upgradeWebSocket)
	const s = require('@hono/node-server').serve({ fetch: app.fetch, hostname: HOST, port })
	if (inject) injectWebSocket(s)
}
const honoEcho = upgrade => upgrade(() => ({ onMessage: (e, ws) => ws.send(e.data) }))
exports.hono = hono((app, upgrade) => app.get('/ws', honoEcho(upgrade)))
exports.honoForgot = hono((app, upgrade) => app.get('/ws', honoEcho(upgrade)), false)
exports.honoAuth = hono((app, upgrade) => {
	app.use('/ws', require('hono/bearer-auth').bearerAuth({ token: 'right' }))
	app.get('/ws', honoEcho(upgrade))
})
exports.honoClose = hono((app, upgrade) => app.get('/ws', upgrade(() => ({ onOpen: (_, ws) => ws.close(4003, 'forbidden') }))))

exports.koa = port => {
	const app = require('koa-websocket')(new (require('koa'))())
	app.ws.use((ctx, next) => ctx.path === '/ws' ? echo(ctx.websocket) : next())
	app.listen(port, HOST)
}
exports.koaThrow = port => {
	const app = require('koa-websocket')(new (require('koa'))())
	app.silent = true
	app.ws.use(ctx => { ctx.websocket.send(ctx.session.user.name) })
	app.listen(port, HOST)
}
exports.koaWithout = port => {
	const app = new (require('koa'))()
	app.use(ctx => { if (ctx.path === '/') ctx.body = 'home' })
	app.listen(port, HOST)
}
exports.koaClose = port => {
	const app = require('koa-websocket')(new (require('koa'))())
	app.ws.use(ctx => ctx.websocket.close(1008, 'not authenticated'))
	app.listen(port, HOST)
}

const schema = () => require('graphql').buildSchema('type Query { hello: String } type Subscription { tick: Int }')
const graphqlWS = options => port => {
	const s = http.createServer((_, res) => res.writeHead(404).end())
	const w = new (require('ws').WebSocketServer)({ server: s, path: '/graphql' })
	require('graphql-ws/lib/use/ws').useServer({ schema: schema(), ...options }, w)
	s.listen(port, HOST)
}
exports.graphqlWS = graphqlWS({})
exports.graphqlWSQuick = graphqlWS({ connectionInitWaitTimeout: 300 })
exports.graphqlWSAuth = graphqlWS({ onConnect: ctx => ctx.connectionParams?.token === 'right' })
exports.graphqlHTTP = port => {
	const app = express()
	app.post('/graphql', (_, res) => res.json({ data: { hello: null } }))
	app.get('/graphql', (_, res) => res.status(400).json({ errors: [{ message: 'Must provide query string.' }] }))
	app.listen(port, HOST)
}
exports.subscriptions = port => {
	const s = http.createServer((_, res) => res.writeHead(404).end())
	const { execute, subscribe } = require('graphql')
	new (require('subscriptions-transport-ws').SubscriptionServer)({ schema: schema(), execute, subscribe }, { server: s, path: '/graphql' })
	s.listen(port, HOST)
}
