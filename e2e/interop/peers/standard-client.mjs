// The client built into browsers and Node: the WebSocket of the WHATWG standard.
import { Queue, runChecks } from "./checks.mjs";

export function connect(url, protocols) {
  return new Promise((resolve, reject) => {
    const ws = protocols ? new WebSocket(url, protocols) : new WebSocket(url);
    const queue = new Queue();
    ws.binaryType = "arraybuffer";
    const closed = new Promise((end) => {
      ws.onclose = (e) => {
        const how = { code: e.code, reason: e.reason, clean: e.wasClean };
        reject(new Error(`closed before it opened: ${e.code}`));
        queue.put({ closed: how });
        end(how);
      };
    });
    ws.onmessage = (e) => {
      const type = typeof e.data === "string" ? "text" : "binary";
      queue.put({ type, bytes: type === "text" ? new TextEncoder().encode(e.data) : new Uint8Array(e.data) });
    };
    ws.onopen = () =>
      resolve({
        subprotocol: ws.protocol,
        extensions: ws.extensions,
        closed,
        next: () => queue.next(),
        send: (type, bytes) => ws.send(type === "text" ? new TextDecoder().decode(bytes) : bytes),
        close: (code, reason) => (code === undefined ? ws.close() : ws.close(code, reason)),
      });
  });
}

// Prints a line of JSON for each check, and one with the error if something fails.
export async function run(base) {
  const report = (line) => console.log(JSON.stringify(line));
  try {
    await runChecks((path, protocols) => connect(base + path, protocols), report);
    report({ check: "end" });
  } catch (error) {
    report({ check: "failed", error: String(error) });
  }
}
