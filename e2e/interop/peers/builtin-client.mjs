// Runs the checks with Node's built-in WebSocket: node builtin-client.mjs BASE_URL
import { run } from "./standard-client.mjs";

await run(process.argv[2]);
