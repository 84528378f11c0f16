// Serves with Node's ws package: node ws-server.mjs [CERT KEY]
// Listens on the port that the environment variable PORT names, or on a free one. Prints it, then a line for each connection that
// ended. It ends when its standard input does.
import { readFileSync } from "node:fs";
import http from "node:http";
import https from "node:https";
import { WebSocketServer } from "ws";
import { pieces } from "./checks.mjs";

const [cert, key] = process.argv.slice(2);
const server = cert
  ? https.createServer({ cert: readFileSync(cert), key: readFileSync(key) })
  : http.createServer();
const sockets = new WebSocketServer({
  server,
  perMessageDeflate: { threshold: 0 },
  handleProtocols: (offered) => (offered.has("handfast.v2") ? "handfast.v2" : false),
});
const report = (line) => console.log(JSON.stringify(line));

sockets.on("connection", (ws, request) => {
  const line = { check: request.url.slice(1), subprotocol: ws.protocol, extensions: ws.extensions };
  ws.on("error", (error) => (line.error = String(error)));
  ws.on("close", (code, reason) => report({ ...line, code, reason: reason.toString() }));
  ws.on("message", (data, binary) => ws.send(data, { binary }));
  switch (line.check) {
    case "fragments-to-us":
      sendPieces(ws);
      break;
    case "ping-by-peer":
      ping(ws, line);
      break;
    case "close-by-peer":
      ws.close(4001, "the peer's reason 🤝");
      break;
    case "close-without-code":
      ws.close();
      break;
  }
});

function sendPieces(ws) {
  const bytes = pieces.map((piece) => Buffer.from(piece));
  const last = bytes.pop();
  for (const part of [...bytes, last.subarray(0, 2)]) ws.send(part, { binary: false, fin: false });
  ws.ping("between fragments");
  ws.send(last.subarray(2), { binary: false, fin: true });
}

function ping(ws, line) {
  const start = performance.now();
  ws.on("pong", (data) => {
    line.rtt = performance.now() - start;
    ws.send(data, { binary: false });
  });
  ws.ping("are you there?");
}

server.listen(Number(process.env.PORT ?? 0), "127.0.0.1", () => report({ check: "listening", port: server.address().port }));
process.stdin.resume();
process.stdin.on("end", () => server.close()); // close waits for the open connections to end
