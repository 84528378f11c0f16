"""The messages that the Python peers send; the Go and JavaScript peers make the same bytes."""

import hashlib
import json

SIZES = [0, 1, 125, 126, 65535, 65536, 1048576]
UNICODE = "ascii é κόσμε 日本語 🤝 \u0000 \uffff \U0010ffff"
PIECES = ["hand", "fast ", "🤝 in pieces"]
BURST = 100
OFFERED = ["handfast.v0", "handfast.v1", "handfast.v2"]
PING = b"are you there?"
CODE, REASON = 4001, "the peer's reason 🤝"


def pattern(kind, size):
    """The payload of an echo: str for text, bytes for binary."""
    if kind == "text":
        return "".join(map(chr, (97 + i % 26 for i in range(size))))
    return bytes(((i % 8209) ** 2 >> 3) % 251 for i in range(size))


def measure(message):
    """The fields that describe a message in a report."""
    data = message.encode() if isinstance(message, str) else message
    kind = "text" if isinstance(message, str) else "binary"
    return {"type": kind, "size": len(data), "sum": hashlib.sha256(data).hexdigest()}


def extensions(connection):
    """The names of the negotiated extensions."""
    return ", ".join(e.name for e in connection.extensions)


def report(check, **fields):
    """Prints one line of JSON."""
    print(json.dumps({"check": check, **fields}), flush=True)
