// Tests deltas, recovery and compression together: node deltas.mjs URL SECRET. Exits with 1 at the first failure.
import { Centrifuge } from "centrifuge";
import { Centrifuge as Protobuf } from "centrifuge/build/protobuf";
import { WebSocket } from "ws";
import assert from "node:assert/strict";

const [base, secret] = process.argv.slice(2);
const read = data => data instanceof Uint8Array ? JSON.parse(new TextDecoder().decode(data)) : data;
const once = (target, event) => new Promise((done, fail) => {
	const timer = setTimeout(() => fail(new Error("no " + event)), 60_000);
	target.once(event, context => { clearTimeout(timer); done(context); });
});

for (const [of, channel] of [[Centrifuge, "json"], [Protobuf, "protobuf"]]) {
	const sockets = [];
	class Cut extends WebSocket { constructor(...all) { super(...all); sockets.push(this); } }
	const c = new of(base.replace("http", "ws") + "/connection/websocket", { websocket: Cut, minReconnectDelay: 1, maxReconnectDelay: 10 });
	const s = c.newSubscription(channel, { delta: "fossil", recoverable: true });
	const got = [];
	let wake = () => {};
	s.on("publication", p => { got.push(read(p.data)); wake(); });
	const has = async n => { while (got.length < n) await new Promise(done => { wake = done; }); };
	let published = 0;
	const publish = async count => {
		for (let i = 0; i < count; i++) {
			const data = { text: "the same text again, ".repeat(100), n: published++ };
			const res = await fetch(base + "/api/publish", { method: "POST", headers: { "X-API-Key": secret }, body: JSON.stringify({ channel, data }) });
			assert.equal(res.status, 200);
		}
	};
	let subscribed = once(s, "subscribed");
	s.subscribe();
	c.connect();
	await subscribed;
	for (let round = 0; round < 3; round++) {
		await publish(4);
		await has(published);
		subscribed = once(s, "subscribed");
		const connecting = once(c, "connecting");
		assert.match(sockets.at(-1).extensions, /permessage-deflate/);
		sockets.at(-1).terminate();
		await connecting;
		await publish(4);
		const context = await subscribed;
		assert.deepEqual([context.wasRecovering, context.recovered], [true, true]);
		await has(published);
	}
	await publish(4);
	await has(published);
	assert.deepEqual(got.map(d => d.n), Array.from({ length: published }, (_, i) => i));
	assert.ok(got.every(d => d.text === got[0].text));
	c.disconnect();
	console.log("ok");
}
