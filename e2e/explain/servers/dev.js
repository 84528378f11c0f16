// Reverse proxies of Node, and servers for development.
const fs = require('fs')
const http = require('http')
const path = require('path')

const HOST = '127.0.0.1'

// backend starts an echo server at /ws on another port.
const backend = use => {
	const s = http.createServer((_, res) => res.writeHead(404).end('no such page'))
	const w = new (require('ws').WebSocketServer)({ server: s, path: '/ws' })
	w.on('connection', ws => ws.on('message', (data, binary) => ws.send(data, { binary })))
	s.listen(0, HOST, () => use('http://' + HOST + ':' + s.address().port))
}

const httpProxy = options => port => backend(target => require('http-proxy').createProxyServer({ target, ...options })
	.on('error', (_, req, res) => res.writeHead ? res.writeHead(502).end('bad gateway') : res.destroy()).listen(port, HOST))
exports.httpProxy = httpProxy({ ws: true })
exports.httpProxyWithout = httpProxy({})
exports.httpProxyDead = (port, dead) => httpProxy({ ws: true, target: 'http://' + HOST + ':' + dead })(port)
exports.httpProxyTLS = port => backend(target => require('http-proxy').createProxyServer({ ws: true, target: target.replace('http', 'https') })
	.on('error', (_, req, res) => res.writeHead ? res.writeHead(502).end('bad gateway') : res.destroy()).listen(port, HOST))
exports.httpProxyPath = port => backend(target => require('http-proxy').createProxyServer({ ws: true, target: target + '/api' }).listen(port, HOST))

const middleware = (options, mount = '/', subscribe = false) => port => backend(target => {
	const app = require('express')()
	const proxy = require('http-proxy-middleware').createProxyMiddleware({ target, ...options })
	app.use(mount, proxy)
	const s = app.listen(port, HOST)
	if (subscribe) s.on('upgrade', proxy.upgrade)
})
exports.middleware = middleware({ ws: true }, '/', true)
exports.middlewareWithout = middleware({ ws: false })
exports.middlewareLate = middleware({ ws: true }) // it learns of the server with the first plain request only
exports.middlewareRewrite = middleware({ ws: true, pathRewrite: { '^/ws': '' } }, '/', true)
exports.middlewareMount = middleware({ ws: true }, '/api', true)
exports.middlewareDead = (port, dead) => middleware({ ws: true, target: 'http://' + HOST + ':' + dead }, '/', true)(port)

const vite = config => async port => {
	const root = fs.mkdtempSync(path.join(process.env.HOME, 'vite-'))
	fs.writeFileSync(path.join(root, 'index.html'), '<!doctype html><title>Shop</title>')
	const { createServer } = await import('vite')
	const start = async server => {
		const s = await createServer({ root, configFile: false, logLevel: 'silent', cacheDir: path.join(root, 'cache'),
			server: { host: HOST, port, strictPort: true, ...server } })
		await s.listen()
	}
	config(start)
}
exports.vite = vite(start => start({}))
exports.viteAnyHost = vite(start => start({ allowedHosts: true }))
exports.viteProxy = vite(start => backend(target => start({ proxy: { '/ws': { target, ws: true } } })))
exports.viteProxyWithout = vite(start => backend(target => start({ proxy: { '/ws': { target } } })))
exports.viteProxyDead = (port, dead) => vite(start => start({ proxy: { '/ws': { target: 'http://' + HOST + ':' + dead, ws: true } } }))(port)

const webpack = options => async port => {
	const root = fs.mkdtempSync(path.join(process.env.HOME, 'webpack-'))
	fs.writeFileSync(path.join(root, 'index.js'), 'console.log(1)')
	const compiler = require('webpack')({ mode: 'development', context: root, entry: './index.js', output: { path: root }, infrastructureLogging: { level: 'none' }, stats: 'none' })
	const Server = require('webpack-dev-server')
	await new Server({ host: HOST, port, setupExitSignals: false, ...options }, compiler).start()
}
exports.webpack = webpack({})
exports.webpackPath = webpack({ webSocketServer: { type: 'ws', options: { path: '/hmr' } } })
exports.webpackNone = webpack({ webSocketServer: false, hot: false, liveReload: false })
exports.webpackHistory = webpack({ webSocketServer: false, hot: false, liveReload: false, historyApiFallback: { index: '/main.js' } })
exports.webpackProxyWithout = port => backend(target => webpack({ webSocketServer: false, hot: false, liveReload: false, proxy: [{ context: ['/ws'], target }] })(port))
exports.webpackProxy = port => backend(target => webpack({ webSocketServer: false, hot: false, liveReload: false, proxy: [{ context: ['/ws'], target, ws: true }] })(port))

exports.browserSync = port => {
	const root = fs.mkdtempSync(path.join(process.env.HOME, 'site-'))
	fs.writeFileSync(path.join(root, 'index.html'), '<!doctype html><title>Shop</title><body>Shop</body>')
	require('browser-sync').create().init({ server: root, host: HOST, listen: HOST, port, ui: false, open: false, logLevel: 'silent', online: false })
}

exports.inspect = port => { require('inspector').open(port, HOST); setInterval(() => {}, 1000) }
exports.http2 = port => require('http2').createServer((_, res) => res.end('hello')).listen(port, HOST)
