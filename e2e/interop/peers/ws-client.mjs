// Runs the checks with Node's ws package as the client: node ws-client.mjs BASE_URL
import { WebSocket } from "ws";
import { Queue, runChecks } from "./checks.mjs";

function connect(url, protocols = []) {
  return new Promise((resolve, reject) => {
    const ws = new WebSocket(url, protocols);
    const queue = new Queue();
    const pongs = new Queue();
    const closed = new Promise((end) => {
      ws.on("close", (code, reason) => {
        const how = { code, reason: reason.toString(), clean: code !== 1006 };
        queue.put({ closed: how });
        end(how);
      });
    });
    ws.on("error", reject);
    ws.on("message", (data, binary) => queue.put({ type: binary ? "binary" : "text", bytes: new Uint8Array(data) }));
    ws.on("pong", (data) => pongs.put(data));
    ws.on("open", () =>
      resolve({
        subprotocol: ws.protocol,
        extensions: ws.extensions,
        closed,
        next: () => queue.next(),
        send: (type, bytes) => ws.send(bytes, { binary: type === "binary" }),
        sendPieces: (pieces) => sendPieces(ws, pieces),
        ping: () => ping(ws, pongs),
        close: (code, reason) => ws.close(code, reason),
      }),
    );
  });
}

// It cuts inside the first character of the last piece, too, so that a fragment ends within a code point.
function sendPieces(ws, pieces) {
  const bytes = pieces.map((piece) => Buffer.from(piece));
  const last = bytes.pop();
  for (const part of [...bytes, last.subarray(0, 2)]) ws.send(part, { binary: false, fin: false });
  ws.send(last.subarray(2), { binary: false, fin: true });
}

async function ping(ws, pongs) {
  const start = performance.now();
  ws.ping("are you there?");
  const data = await pongs.next();
  if (data.toString() !== "are you there?") throw new Error(`pong carries ${data}`);
  return performance.now() - start;
}

const report = (line) => console.log(JSON.stringify(line));
try {
  await runChecks((path, protocols) => connect(process.argv[2] + path, protocols), report);
  report({ check: "end" });
} catch (error) {
  report({ check: "failed", error: String(error) });
}
