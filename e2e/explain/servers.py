"""Runs a server on 127.0.0.1: the first argument names it, the second is its port."""
import asyncio
import sys

HOST, NAME, PORT = "127.0.0.1", sys.argv[1], int(sys.argv[2])


def fastapi_app():
    from fastapi import FastAPI, WebSocket

    app = FastAPI()

    @app.websocket("/ws")
    async def echo(ws: WebSocket):
        await ws.accept()
        while True:
            await ws.send_text(await ws.receive_text())

    return app


def on_uvicorn(app, library):
    import uvicorn

    uvicorn.run(app, host=HOST, port=PORT, ws=library, log_level="critical", lifespan="off")


def uvicorn():
    on_uvicorn(fastapi_app(), "websockets")


def uvicorn_without_library():
    on_uvicorn(fastapi_app(), "none")


def socketio():
    import socketio as sio

    on_uvicorn(sio.ASGIApp(sio.AsyncServer(async_mode="asgi")), "websockets")


def hypercorn():
    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    config = Config()
    config.bind, config.errorlog = [f"{HOST}:{PORT}"], None
    asyncio.run(serve(fastapi_app(), config))


def websockets():
    import websockets as ws

    async def echo(conn, path=None):
        async for message in conn:
            await conn.send(message)

    async def main():
        async with ws.serve(echo, HOST, PORT, origins=["https://app.example"]):
            await asyncio.Future()

    asyncio.run(main())


def tornado():
    from tornado import ioloop, web, websocket

    web.Application([("/ws", websocket.WebSocketHandler)]).listen(PORT, HOST)
    ioloop.IOLoop.current().start()


def aiohttp():
    from aiohttp import web

    async def echo(request):
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        async for message in ws:
            await ws.send_str(message.data)
        return ws

    app = web.Application()
    app.add_routes([web.get("/ws", echo)])
    web.run_app(app, host=HOST, port=PORT, print=None)


def django():
    from django.conf import settings
    from django.core.management import execute_from_command_line

    settings.configure(DEBUG=True, SECRET_KEY="test", ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"])
    execute_from_command_line(["manage.py", "runserver", "--noreload", f"{HOST}:{PORT}"])


urlpatterns = []  # Django needs it

globals()[NAME]()
