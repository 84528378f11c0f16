"""Serves with Python's websockets: server.py [CERT KEY]

It listens on the port that the environment variable PORT names, or on a free one. It prints that, then a line for each connection
that ended. It ends when its standard input does.
"""

import asyncio
import os
import ssl
import sys
import time

import websockets

from checks import CODE, PIECES, PING, REASON, extensions, report


async def serve(ws, path):
    check = path[1:]
    fields = {}
    if check == "fragments-to-us":
        await ws.send(PIECES)
    elif check == "ping-by-peer":
        start = time.perf_counter()
        await (await ws.ping(PING))
        fields["rtt"] = 1000 * (time.perf_counter() - start)
        await ws.send(PING.decode())
    elif check == "close-by-peer":
        await ws.close(CODE, REASON)
    elif check == "close-without-code":
        await ws.write_close_frame(websockets.frames.Close(1005, ""), b"")
    try:
        async for message in ws:
            await ws.send(message)
    except websockets.ConnectionClosed:
        pass
    await ws.wait_closed()
    report(
        check,
        subprotocol=ws.subprotocol or "",
        extensions=extensions(ws),
        code=ws.close_code,
        reason=ws.close_reason,
        **fields,
    )


async def main():
    tls = None
    if len(sys.argv) > 2:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(sys.argv[1], sys.argv[2])
    async with websockets.serve(serve, "127.0.0.1", int(os.environ.get("PORT", 0)), ssl=tls, subprotocols=["handfast.v2"]) as server:
        report("listening", port=server.sockets[0].getsockname()[1])
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


asyncio.run(main())
