"""Runs the checks with Python's websockets as the client: client.py BASE_URL [CA_CERTIFICATE]"""

import asyncio
import ssl
import sys
import time

import websockets

from checks import BURST, CODE, OFFERED, PIECES, PING, REASON, SIZES, UNICODE, extensions, measure, pattern, report

BASE = sys.argv[1]
TLS = ssl.create_default_context(cafile=sys.argv[2]) if len(sys.argv) > 2 else None


def connect(path, subprotocols=None):
    return websockets.connect(BASE + path, ssl=TLS, subprotocols=subprotocols)


async def messages():
    async with connect("/echo") as ws:
        report("open", extensions=extensions(ws))
        for kind in ("text", "binary"):
            for size in SIZES:
                await ws.send(pattern(kind, size))
                report("echo", **measure(await ws.recv()))
        await ws.close(1000, "done")
    async with connect("/unicode") as ws:
        await ws.send(UNICODE)
        report("unicode", text=await ws.recv())
        await ws.close(1000, "done")
    async with connect("/fragments-to-us") as ws:
        await ws.send(PIECES)
        report("fragments-to-us", text=await ws.recv())
        await ws.close(1000, "done")
    async with connect("/fragments-to-peer") as ws:
        report("fragments-to-peer", text=await ws.recv())
        await ws.close(1000, "done")


async def subprotocol_and_burst():
    async with connect("/subprotocol", OFFERED) as ws:
        report("subprotocol", subprotocol=ws.subprotocol)
        await ws.close(1000, "done")
    async with connect("/burst") as ws:
        for i in range(BURST):
            await ws.send(f"message {i}")
        got = [await ws.recv() for _ in range(BURST)]
        report("burst", size=len(got), text="\n".join(got))
        await ws.close(1000, "done")


async def pings():
    async with connect("/ping-by-peer") as ws:
        start = time.perf_counter()
        await (await ws.ping(PING))
        report("ping-by-peer", rtt=1000 * (time.perf_counter() - start))
        await ws.close(1000, "done")
    async with connect("/ping-by-us") as ws:
        report("ping-by-us", text=await ws.recv())
        await ws.close(1000, "done")


async def closes():
    def seen(ws):
        return {"code": ws.close_code, "reason": ws.close_reason, "clean": ws.close_code != 1006}

    async with connect("/close-by-peer") as ws:
        await ws.close(CODE, REASON)
        report("close-by-peer", **seen(ws))
    async with connect("/close-without-code") as ws:
        await ws.write_close_frame(websockets.frames.Close(1005, ""), b"")
        await ws.wait_closed()
        report("close-without-code", **seen(ws))
    async with connect("/close-by-us") as ws:
        await ws.wait_closed()
        report("close-by-us", **seen(ws))


async def main():
    try:
        await messages()
        await subprotocol_and_burst()
        await pings()
        await closes()
        report("end")
    except Exception as error:
        report("failed", error=repr(error))


asyncio.run(main())
