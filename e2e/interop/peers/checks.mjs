// Every client written in JavaScript sends these messages; the Go and Python peers make the same bytes.

export const sizes = [0, 1, 125, 126, 65535, 65536, 1048576];
export const unicode = "ascii é κόσμε 日本語 🤝 \u0000 \uffff \u{10ffff}";
export const pieces = ["hand", "fast ", "\u{1f91d} in pieces"];
export const burst = 100;
export const offered = ["handfast.v0", "handfast.v1", "handfast.v2"];

export function pattern(type, size) {
  const bytes = new Uint8Array(size);
  for (let i = 0; i < size; i++) {
    bytes[i] = type === "text" ? 97 + (i % 26) : ((i % 8209) ** 2 >> 3) % 251;
  }
  return bytes;
}

export async function sum(bytes) {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (b) => b.toString(16).padStart(2, "0")).join("");
}

// A queue of messages: they go in as they arrive, and next() waits for the next one.
export class Queue {
  #items = [];
  #waiting = [];

  put(item) {
    const resolve = this.#waiting.shift();
    if (resolve) resolve(item);
    else this.#items.push(item);
  }

  next() {
    if (this.#items.length > 0) return Promise.resolve(this.#items.shift());
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
}

// Runs every check over connect(path, protocols), which opens a connection and returns:
//   send(type, bytes), next() -> {type, bytes} | {closed}, close(code, reason), closed -> {code, reason},
//   subprotocol, extensions, and, where the API has them, sendPieces(list) and ping() -> milliseconds.
export async function runChecks(connect, report) {
  const encode = (text) => new TextEncoder().encode(text);
  const decode = (bytes) => new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  const text = async (c) => decode((await c.next()).bytes);

  const done = async (c) => {
    c.close(1000, "done");
    await c.closed;
  };

  let c = await connect("/echo");
  report({ check: "open", extensions: c.extensions });
  for (const type of ["text", "binary"]) {
    for (const size of sizes) {
      c.send(type, pattern(type, size));
      const got = await c.next();
      report({ check: "echo", type: got.type, size: got.bytes.length, sum: await sum(got.bytes) });
    }
  }
  await done(c);

  c = await connect("/unicode");
  c.send("text", encode(unicode));
  report({ check: "unicode", text: await text(c) });
  await done(c);

  if (c.sendPieces) {
    c = await connect("/fragments-to-us");
    c.sendPieces(pieces);
    report({ check: "fragments-to-us", text: await text(c) });
    await done(c);
  }

  c = await connect("/fragments-to-peer");
  report({ check: "fragments-to-peer", text: await text(c) });
  await done(c);

  c = await connect("/subprotocol", offered);
  report({ check: "subprotocol", subprotocol: c.subprotocol });
  await done(c);

  c = await connect("/burst");
  for (let i = 0; i < burst; i++) c.send("text", encode(`message ${i}`));
  const got = [];
  for (let i = 0; i < burst; i++) got.push(await text(c));
  report({ check: "burst", size: got.length, text: got.join("\n") });
  await done(c);

  if (c.ping) {
    c = await connect("/ping-by-peer");
    report({ check: "ping-by-peer", rtt: await c.ping() });
    await done(c);
  }

  c = await connect("/ping-by-us");
  report({ check: "ping-by-us", text: await text(c) });
  await done(c);

  c = await connect("/close-by-peer");
  c.close(4001, "the peer's reason 🤝");
  report({ check: "close-by-peer", ...(await c.closed) });

  c = await connect("/close-without-code");
  c.close();
  report({ check: "close-without-code", ...(await c.closed) });

  c = await connect("/close-by-us");
  report({ check: "close-by-us", ...(await c.closed) });
}
