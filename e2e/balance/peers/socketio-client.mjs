// Clients of Socket.IO: node socketio-client.mjs URL HOW-MANY. Each begins with HTTP requests, as is the default, and upgrades to a
// WebSocket. They print a line when one has upgraded and its messages came back, and when one is disconnected. They connect again by
// themselves, and end when standard input does.
import { io } from "socket.io-client";

const [url, count] = process.argv.slice(2);
const report = (line) => console.log(JSON.stringify(line));

async function talk(client, socket) {
  for (let n = 0; n < 20; n++) {
    const data = { n, bytes: Buffer.alloc(1000, n) };
    const back = await socket.emitWithAck("echo", data);
    if (back.n !== n || !data.bytes.equals(back.bytes)) throw new Error("another message came back");
  }
  report({ event: "upgraded", client, server: await socket.emitWithAck("where"), transport: socket.io.engine.transport.name });
}

for (let client = 0; client < Number(count); client++) {
  const socket = io(url, { withCredentials: true, forceNew: true, reconnectionDelay: 50, reconnectionDelayMax: 500 });
  const failed = (error) => report({ event: "failed", client, error: String(error) });
  socket.on("connect_error", failed);
  socket.on("connect", () => {
    const { engine } = socket.io;
    const upgraded = () => talk(client, socket).catch(failed);
    engine.transport.name === "websocket" ? upgraded() : engine.once("upgrade", upgraded);
  });
  socket.on("disconnect", (reason) => report({ event: "disconnected", client, reason }));
}
process.stdin.resume();
process.stdin.on("end", () => process.exit());
