"""Runs a server on 127.0.0.1: the first argument names it, the second is its port.

Each has the same paths, written as the framework's users write them: /ws is an echo, /origin admits one origin, /token wants
a token, /late accepts and then closes with a code, /crash and /broken raise before and after they accept, /sub speaks one
subprotocol, /page is an ordinary page.
"""
import asyncio
import sys

HOST, NAME, PORT = "127.0.0.1", sys.argv[1], int(sys.argv[2])
ORIGIN, TOKEN, CHAT = "https://app.example", "s3cret", "chat.v1"


def asgi_app():
    from starlette.applications import Starlette
    from starlette.responses import HTMLResponse
    from starlette.routing import Route, WebSocketRoute

    async def echo(ws, subprotocol=None):
        await ws.accept(subprotocol)
        async for text in ws.iter_text():
            await ws.send_text(text)

    async def origin(ws):
        if ws.headers.get("origin") != ORIGIN:
            await ws.close(code=1008)
            return
        await echo(ws)

    async def token(ws):
        if ws.query_params.get("token") != TOKEN:
            await ws.close(code=1008, reason="invalid token")
            return
        await echo(ws)

    async def late(ws):
        await ws.accept()
        await ws.close(code=4401, reason="token expired")

    async def crash(ws):
        raise KeyError("room")

    async def broken(ws):
        await ws.accept()
        raise KeyError("room")

    async def sub(ws):
        await echo(ws, CHAT if CHAT in ws.scope["subprotocols"] else None)

    async def eager(ws):
        await echo(ws, CHAT)

    async def page(request):
        return HTMLResponse("<h1>Welcome to the shop</h1>")

    sockets = {"ws": echo, "origin": origin, "token": token, "late": late, "crash": crash, "broken": broken, "sub": sub, "eager": eager}
    return Starlette(routes=[WebSocketRoute("/" + n, f) for n, f in sockets.items()] + [Route("/page", page)])


def on_uvicorn(library):
    import uvicorn

    uvicorn.run(asgi_app(), host=HOST, port=PORT, ws=library, log_level="critical", lifespan="off")


def uvicorn():
    on_uvicorn("websockets")


def uvicorn_wsproto():
    on_uvicorn("wsproto")


def uvicorn_none():
    on_uvicorn("none")


def hypercorn():
    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    config = Config()
    config.bind, config.errorlog = [f"{HOST}:{PORT}"], None
    asyncio.run(serve(asgi_app(), config))


def daphne():
    from daphne.server import Server

    Server(asgi_app(), endpoints=[f"tcp:{PORT}:interface={HOST}"], signal_handlers=False).run()


def gunicorn():
    from gunicorn.app.base import BaseApplication

    class Application(BaseApplication):
        def load_config(self):
            self.cfg.set("bind", f"{HOST}:{PORT}")
            self.cfg.set("worker_class", "sync" if len(sys.argv) > 3 else "uvicorn.workers.UvicornWorker")

        def load(self):
            return asgi_app()

    Application().run()


def websockets():
    import http
    import websockets as ws

    async def echo(conn, path=None):
        path = conn.path.split("?")[0]
        if path == "/late":
            await conn.close(4401, "token expired")
        elif path == "/broken":
            raise KeyError("room")
        elif path == "/silent":
            await asyncio.sleep(3600)
        elif path != "/once":
            async for message in conn:
                await conn.send(message)

    async def request(path, headers):
        path, _, query = path.partition("?")
        if path == "/page":
            return http.HTTPStatus.OK, [("Content-Type", "text/plain")], b"OK\n"
        if path == "/token" and query != "token=" + TOKEN:
            return http.HTTPStatus.UNAUTHORIZED, [], b"Missing token\n"
        if path == "/origin" and headers.get("Origin") != ORIGIN:
            return http.HTTPStatus.FORBIDDEN, [], b"Forbidden\n"
        if path == "/crash":
            raise KeyError("room")
        if path not in ("/ws", "/late", "/broken", "/once", "/silent", "/token", "/origin"):
            return http.HTTPStatus.NOT_FOUND, [], b"Not Found\n"

    options = {}
    if len(sys.argv) > 3 and sys.argv[3] == "origins":
        options["origins"] = [ORIGIN]
    elif len(sys.argv) > 3 and sys.argv[3] == "subprotocols":
        options["subprotocols"] = [CHAT]
    elif len(sys.argv) > 3 and sys.argv[3] == "basic":
        options["create_protocol"] = ws.basic_auth_protocol_factory(realm="chat", credentials=("ann", TOKEN))
    elif len(sys.argv) > 3 and sys.argv[3] == "small":
        options["max_size"] = 16
    elif len(sys.argv) > 3:
        import ssl

        options["ssl"] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        options["ssl"].load_cert_chain(sys.argv[3])

    async def main():
        more = {} if "create_protocol" in options else {"process_request": request}
        async with ws.serve(echo, HOST, PORT, **more, **options):
            await asyncio.Future()

    asyncio.run(main())


def aiohttp():
    from aiohttp import web

    async def echo(request, protocols=()):
        ws = web.WebSocketResponse(protocols=protocols)
        await ws.prepare(request)
        async for message in ws:
            await ws.send_str(message.data)
        return ws

    async def origin(request):
        if request.headers.get("Origin") != ORIGIN:
            raise web.HTTPForbidden()
        return await echo(request)

    async def token(request):
        if request.query.get("token") != TOKEN:
            raise web.HTTPUnauthorized()
        return await echo(request)

    async def late(request):
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        await ws.close(code=4401, message=b"token expired")
        return ws

    async def crash(request):
        raise KeyError("room")

    async def broken(request):
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        raise KeyError("room")

    async def sub(request):
        return await echo(request, (CHAT,))

    async def page(request):
        return web.Response(text="<h1>Welcome to the shop</h1>", content_type="text/html")

    async def login(request):
        raise web.HTTPFound("/login")

    app = web.Application()
    paths = {"ws": echo, "origin": origin, "token": token, "late": late, "crash": crash, "broken": broken, "sub": sub, "page": page, "login": login}
    app.add_routes([web.get("/" + n, f) for n, f in paths.items()] + [web.post("/send", page)])
    web.run_app(app, host=HOST, port=PORT, print=None, access_log=None)


def tornado():
    from tornado import ioloop, web, websocket

    class Echo(websocket.WebSocketHandler):
        def on_message(self, message):
            self.write_message(message)

    class Token(Echo):
        def prepare(self):
            if self.get_argument("token", "") != TOKEN:
                raise web.HTTPError(401)

    class Late(Echo):
        def open(self):
            self.close(4401, "token expired")

    class Broken(Echo):
        def open(self):
            raise KeyError("room")

    class Crash(Echo):
        def prepare(self):
            raise KeyError("room")

    class Sub(Echo):
        def select_subprotocol(self, offered):
            return CHAT if CHAT in offered else None

    class Page(web.RequestHandler):
        def get(self):
            self.write("<h1>Welcome to the shop</h1>")

    class Send(web.RequestHandler):
        def post(self):
            self.write("ok")

    paths = {"ws": Echo, "token": Token, "late": Late, "broken": Broken, "crash": Crash, "sub": Sub, "page": Page, "send": Send}
    web.Application([("/" + n, c) for n, c in paths.items()]).listen(PORT, HOST)
    ioloop.IOLoop.current().start()


def autobahn():
    from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
    from autobahn.websocket.types import ConnectionDeny
    from twisted.internet import reactor

    mode = sys.argv[3] if len(sys.argv) > 3 else ""

    class Protocol(WebSocketServerProtocol):
        def onConnect(self, request):
            if request.path == "/token" and request.params.get("token") != [TOKEN]:
                raise ConnectionDeny(403, "invalid token")
            if request.path == "/crash":
                raise KeyError("room")
            if request.path == "/sub":
                return CHAT if CHAT in request.protocols else None
            if request.path not in ("/ws", "/late", "/token"):
                raise ConnectionDeny(404, "no such resource")

        def onOpen(self):
            if self.http_request_path == "/late":
                self.sendClose(4401, "token expired")

        def onMessage(self, payload, binary):
            self.sendMessage(payload, binary)

    # The usual mistake: the factory's URL is the one behind the proxy, not the one that clients use.
    factory = WebSocketServerFactory("ws://127.0.0.1:9000" if mode == "url" else f"ws://127.0.0.1:{PORT}")
    factory.protocol = Protocol
    if mode == "origins":
        factory.setProtocolOptions(allowedOrigins=[ORIGIN])
    reactor.listenTCP(PORT, factory, interface=HOST)
    reactor.run()


def gevent():
    from gevent.pywsgi import WSGIServer
    from geventwebsocket.handler import WebSocketHandler

    def app(environ, start_response):
        ws = environ.get("wsgi.websocket")
        path = environ["PATH_INFO"]
        if path == "/crash":
            raise KeyError("room")
        if path == "/page" or (path == "/ws" and ws is None):
            start_response("400 Bad Request" if path == "/ws" else "200 OK", [("Content-Type", "text/html")])
            return [b"Expected WebSocket request." if path == "/ws" else b"<h1>Welcome to the shop</h1>"]
        if path not in ("/ws", "/late"):
            start_response("404 Not Found", [("Content-Type", "text/plain")])
            return [b"Not Found"]
        if path == "/late":
            ws.close(4401, b"token expired")
        while not ws.closed:
            message = ws.receive()
            if message is not None:
                ws.send(message)
        return []

    options = {} if len(sys.argv) > 3 else {"handler_class": WebSocketHandler}
    WSGIServer((HOST, PORT), app, log=None, error_log=None, **options).serve_forever()


def eventlet():
    import eventlet
    from eventlet import websocket, wsgi

    @websocket.WebSocketWSGI
    def echo(ws):
        if ws.path == "/late":
            ws.close((4401, "token expired"))
        if ws.path == "/broken":
            raise KeyError("room")
        while True:
            message = ws.wait()
            if message is None:
                break
            ws.send(message)

    def app(environ, start_response):
        path = environ["PATH_INFO"]
        if path == "/crash":
            raise KeyError("room")
        if path in ("/ws", "/late", "/broken"):
            return echo(environ, start_response)
        if path == "/page":
            start_response("200 OK", [("Content-Type", "text/html")])
            return [b"<h1>Welcome to the shop</h1>"]
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return [b"Not Found"]

    wsgi.server(eventlet.listen((HOST, PORT)), app, log_output=False)


def ws4py():
    from wsgiref.simple_server import make_server
    from ws4py.server.wsgirefserver import WSGIServer, WebSocketWSGIRequestHandler
    from ws4py.server.wsgiutils import WebSocketWSGIApplication
    from ws4py.websocket import EchoWebSocket

    class Late(EchoWebSocket):
        def opened(self):
            self.close(4401, "token expired")

    def app(environ, start_response):
        path = environ["PATH_INFO"]
        if path in ("/ws", "/late"):
            return WebSocketWSGIApplication(handler_cls=Late if path == "/late" else EchoWebSocket)(environ, start_response)
        if path == "/sub":
            return WebSocketWSGIApplication(protocols=[CHAT], handler_cls=EchoWebSocket)(environ, start_response)
        if path == "/page":
            start_response("200 OK", [("Content-Type", "text/html")])
            return [b"<h1>Welcome to the shop</h1>"]
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return [b"Not Found"]

    server = make_server(HOST, PORT, server_class=WSGIServer, handler_class=WebSocketWSGIRequestHandler, app=app)
    server.initialize_websockets_manager()
    server.serve_forever()


def wsgiref():
    from wsgiref.simple_server import make_server

    def app(environ, start_response):
        path = environ["PATH_INFO"]
        start_response("200 OK" if path == "/page" else "404 Not Found", [("Content-Type", "text/plain")])
        return [b"Welcome" if path == "/page" else b"Not Found"]

    make_server(HOST, PORT, app).serve_forever()


def socketio():
    import eventlet
    import socketio as sio
    from eventlet import wsgi

    wsgi.server(eventlet.listen((HOST, PORT)), sio.WSGIApp(sio.Server(async_mode="eventlet", cors_allowed_origins=[ORIGIN])), log_output=False)


def flask():
    from flask import Flask
    from flask_socketio import SocketIO

    app = Flask(__name__)
    app.add_url_rule("/page", view_func=lambda: "<h1>Welcome to the shop</h1>")
    SocketIO(app, async_mode="threading").run(app, host=HOST, port=PORT, allow_unsafe_werkzeug=True)


def trio():
    import trio
    from trio_websocket import ConnectionClosed, serve_websocket

    async def handler(request):
        if request.path == "/token?token=" + TOKEN or request.path == "/ws":
            ws = await request.accept()
            try:
                while True:
                    await ws.send_message(await ws.get_message())
            except ConnectionClosed:
                return
        elif request.path == "/late":
            ws = await request.accept()
            await ws.aclose(4401, "token expired")
        elif request.path.startswith("/token"):
            await request.reject(401, body=b"token required")
        elif request.path == "/origin":
            await request.reject(403, body=b"origin not allowed: " + dict(request.headers)[b"origin"])
        else:
            await request.reject(404)

    trio.run(lambda: serve_websocket(handler, HOST, PORT, ssl_context=None))


def qt():
    from PyQt5.QtCore import QCoreApplication
    from PyQt5.QtNetwork import QHostAddress
    from PyQt5.QtWebSockets import QWebSocketServer, QWebSocketProtocol

    app = QCoreApplication(sys.argv)
    server = QWebSocketServer("corpus", QWebSocketServer.NonSecureMode)
    kept = []

    def connected():
        socket = server.nextPendingConnection()
        kept.append(socket)
        socket.textMessageReceived.connect(socket.sendTextMessage)
        if socket.requestUrl().path() == "/late":
            socket.close(QWebSocketProtocol.CloseCodePolicyViolated, "token expired")

    def authenticate(auth):
        auth.setAllowed(auth.origin() == ORIGIN)

    server.newConnection.connect(connected)
    if len(sys.argv) > 3:
        server.originAuthenticationRequired.connect(authenticate)
    assert server.listen(QHostAddress(HOST), PORT)
    app.exec_()


def soup():
    import gi

    gi.require_version("Soup", "3.0")
    from gi.repository import GLib, Soup

    server = Soup.Server()
    kept = []

    def opened(_server, message, path, connection, *more):
        kept.append(connection)
        connection.connect("message", lambda c, kind, data: c.send_text(data.get_data().decode()))
        if path == "/late":
            connection.close(4401, "token expired")

    def page(_server, message, path, query, *more):
        message.set_status(200 if path == "/page" else 404, None)
        if path == "/page":
            message.set_response("text/html", Soup.MemoryUse.COPY, b"<h1>Welcome to the shop</h1>")

    server.add_handler(None, page)
    for path, origin, protocols in (("/ws", None, None), ("/late", None, None), ("/origin", ORIGIN, None), ("/sub", None, [CHAT])):
        server.add_websocket_handler(path, origin, protocols, opened)
    server.listen_local(PORT, Soup.ServerListenOptions.IPV4_ONLY)
    GLib.MainLoop().run()


def cherrypy():
    import cherrypy as cp
    from ws4py.server.cherrypyserver import WebSocketPlugin, WebSocketTool
    from ws4py.websocket import EchoWebSocket

    cp.config.update({"server.socket_host": HOST, "server.socket_port": PORT, "log.screen": False})
    WebSocketPlugin(cp.engine).subscribe()
    cp.tools.websocket = WebSocketTool()

    class Root:
        ws = cp.expose(lambda self: None)

        page = cp.expose(lambda self: "<h1>Welcome to the shop</h1>")

        @cp.expose
        def crash(self):
            raise KeyError("room")

    cp.quickstart(Root(), "/", {"/ws": {"tools.websocket.on": True, "tools.websocket.handler_cls": EchoWebSocket}})


globals()[NAME]()
