// Clients of the SDK call the application: node calls.mjs URL. Exits with 1 at the first failure.
import { Centrifuge } from "centrifuge";
import { Centrifuge as Protobuf } from "centrifuge/build/protobuf";
import { WebSocket } from "ws";
import assert from "node:assert/strict";

const text = data => data instanceof Uint8Array ? new TextDecoder().decode(data) : JSON.stringify(data);

for (const [of, data] of [[Centrifuge, [1, 2]], [Protobuf, new TextEncoder().encode("[1,2]")]]) {
	const client = new of(process.argv[2], { websocket: WebSocket });
	client.connect();
	assert.equal(text((await client.rpc("add", data)).data), '{"sum":3}');
	await assert.rejects(client.rpc("deny", data), e => e.code === 403 && e.message === "not you");
	await assert.rejects(client.rpc("none", data), e => e.code === 100);
	client.disconnect();
	console.log("ok");
}
