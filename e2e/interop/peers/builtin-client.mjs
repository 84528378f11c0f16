// Node's built-in WebSocket as a client: node builtin-client.mjs BASE_URL
import { run } from "./standard-client.mjs";

await run(process.argv[2]);
