// Tests Centrifugo's JavaScript SDK against a server: node sdk.mjs URL APP KEY SECRET. Exits with 1 at the first failure.
import { Centrifuge } from "centrifuge";
import { Centrifuge as Protobuf } from "centrifuge/build/protobuf";
import { EventSource } from "eventsource";
import Pusher from "pusher-js";
import { WebSocket } from "ws";
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";

const [base, , key, secret] = process.argv.slice(2);
const url = new URL(base);
const ws = base.replace("http", "ws") + "/connection/websocket";

const part = o => Buffer.from(typeof o === "string" ? o : JSON.stringify(o)).toString("base64url");
const token = (claims, by = secret) => {
	const signed = part({ alg: "HS256", typ: "JWT" }) + "." + part(claims);
	return signed + "." + createHmac("sha256", by).update(signed).digest("base64url");
};
const now = () => Math.floor(Date.now() / 1000);
const api = async (method, body, by = secret) => {
	const res = await fetch(base + "/api/" + method, { method: "POST", headers: { "X-API-Key": by }, body: JSON.stringify(body) });
	return res.ok ? await res.json() : { status: res.status };
};

const open = [];
const connect = (options = {}, of = Centrifuge, address = ws) => {
	const c = new of(address, { websocket: WebSocket, eventsource: EventSource, fetch, readableStream: ReadableStream, ...options });
	open.push(c);
	c.connect();
	return c;
};
const once = (target, event) => new Promise((done, fail) => {
	const timer = setTimeout(() => fail(new Error("no " + event)), 60_000);
	target.once(event, context => { clearTimeout(timer); done(context); });
});
const subscribed = async (c, name, options) => {
	const s = c.newSubscription(name, options);
	const got = once(s, "subscribed");
	s.subscribe();
	return [s, await got];
};
const step = async (name, run) => { await run(); console.log("ok " + name); };

await step("connect, subscribe, publish, presence, history", async () => {
	const ann = connect(), bob = connect({}, Protobuf);
	const [mine] = await subscribed(ann, "basic");
	const [his] = await subscribed(bob, "basic");
	let got = Promise.all([once(mine, "publication"), once(his, "publication")]);
	await mine.publish({ text: "<ü>" });
	let [a, b] = await got;
	assert.deepEqual(a.data, { text: "<ü>" });
	assert.deepEqual(JSON.parse(new TextDecoder().decode(b.data)), { text: "<ü>" });
	got = Promise.all([once(mine, "publication"), once(his, "publication")]);
	await his.publish(new TextEncoder().encode('{"n":2}'));
	[a, b] = await got;
	assert.deepEqual(a.data, { n: 2 });
	assert.equal(Object.keys((await mine.presence()).clients).length, 2);
	assert.equal((await his.presenceStats()).numClients, 2);
	assert.deepEqual((await mine.history({ limit: 10 })).publications.map(p => p.data), [{ text: "<ü>" }, { n: 2 }]);
});

await step("tokens", async () => {
	const ann = connect({ token: token({ sub: "ann", exp: now() + 600, info: { name: "Ann" } }) });
	const [s] = await subscribed(ann, "tokens");
	const [client] = Object.values((await s.presence()).clients);
	assert.equal(client.user, "ann");
	assert.deepEqual(client.connInfo, { name: "Ann" });
	const refused = await once(connect({ token: token({ sub: "ann" }, "another secret") }), "disconnected");
	assert.equal(refused.code, 3500);
	let asked = 0;
	const late = connect({ token: token({ sub: "ann", exp: now() - 60 }), getToken: async () => { asked++; return token({ sub: "ann", exp: now() + 600 }); } });
	await once(late, "connected");
	assert.equal(asked, 1);
});

await step("refresh", async () => {
	let asked = 0;
	const c = connect({ token: token({ sub: "ann", exp: now() + 2 }), getToken: async () => { asked++; return token({ sub: "ann", exp: now() + 600 }); } });
	await once(c, "connected");
	c.on("disconnected", () => assert.fail("a client that refreshes its token is disconnected"));
	for (const end = Date.now() + 60_000; asked === 0; await new Promise(r => setTimeout(r, 50))) assert.ok(Date.now() < end);
	await c.ready();
	assert.equal((await c.presence("none").catch(e => e.code)) !== undefined, true);
});

await step("subscription tokens", async () => {
	const c = connect({ token: token({ sub: "ann" }) });
	const s = c.newSubscription("$private", { token: token({ sub: "ann", channel: "$private", exp: now() + 600 }) });
	s.subscribe();
	await once(s, "subscribed");
	const other = c.newSubscription("$other", { token: token({ sub: "ann", channel: "$private" }) });
	other.subscribe();
	assert.equal((await once(other, "unsubscribed")).code > 0, true);
	const none = c.newSubscription("$none");
	none.subscribe();
	assert.equal((await once(none, "unsubscribed")).code, 103);
});

await step("recovery after a cut", async () => {
	const sockets = [];
	class Cut extends WebSocket { constructor(...all) { super(...all); sockets.push(this); } }
	const c = connect({ websocket: Cut, minReconnectDelay: 200, maxReconnectDelay: 300 });
	const [s] = await subscribed(c, "recovery", { recoverable: true });
	const got = [], all = new Promise(done => s.on("publication", p => { got.push(p.data); if (got.length === 4) done(); }));
	await api("publish", { channel: "recovery", data: 1 });
	while (got.length < 1) await new Promise(r => setTimeout(r, 10));
	const again = once(s, "subscribed");
	sockets[0].close();
	await once(c, "connecting");
	for (const n of [2, 3]) await api("publish", { channel: "recovery", data: n });
	const context = await again;
	assert.deepEqual([context.wasRecovering, context.recovered], [true, true]);
	await api("publish", { channel: "recovery", data: 4 });
	await all;
	assert.deepEqual(got, [1, 2, 3, 4]);
});

await step("state of the application", async () => {
	for (const of of [Centrifuge, Protobuf]) {
		const c = connect({}, of), name = "state-" + of.name;
		const read = of === Centrifuge ? d => d : d => JSON.parse(new TextDecoder().decode(d));
		const publish = data => api("publish", { channel: name, data });
		let asked = 0;
		const getState = async () => {
			asked++;
			const { offset, epoch } = (await api("history", { channel: name })).result;
			await publish("state " + asked); // follows the position of the state, so the client has to receive it
			return { offset, epoch };
		};
		const s = c.newSubscription(name, { getState }), got = [];
		let wake = () => {};
		s.on("publication", p => { got.push(read(p.data)); wake(); });
		const until = async n => { while (got.length < n) await new Promise(done => wake = done); };
		const back = async () => { const again = once(s, "subscribed"); c.connect(); await again; };
		s.subscribe();
		await until(1);
		c.disconnect();
		await publish("missed");
		await back();
		await until(2);
		assert.equal(asked, 1); // recovery has succeeded
		c.disconnect();
		for (let i = 0; i < 110; i++) await publish("lost"); // the history has 100
		await back();
		await until(3);
		assert.deepEqual([asked, got], [2, ["state 1", "missed", "state 2"]]);
	}
});

await step("deltas", async () => {
	for (const of of [Centrifuge, Protobuf]) {
		const c = connect({}, of), name = "delta-" + of.name;
		const [s] = await subscribed(c, name, { delta: "fossil" });
		const text = "the same text again, ".repeat(50), got = [];
		const all = new Promise(done => s.on("publication", p => { got.push(p.data); if (got.length === 3) done(); }));
		for (const n of [1, 2, 3]) await api("publish", { channel: name, data: { text, n }, delta: true });
		await all;
		const read = of === Centrifuge ? d => d : d => JSON.parse(new TextDecoder().decode(d));
		assert.deepEqual(got.map(read), [1, 2, 3].map(n => ({ text, n })));
	}
});

await step("keyed collections: deltas and filters", async () => {
	for (const of of [Centrifuge, Protobuf]) {
		const name = "map-" + of.name, text = "the same text again, ".repeat(50);
		const set = (key, n, color) => api("map_publish", { channel: name, key, data: { text, n }, tags: { color } });
		const read = of === Centrifuge ? d => d : d => JSON.parse(new TextDecoder().decode(d));
		await set("x", 1, "red");
		await set("y", 1, "blue");
		const synced = (c, options) => {
			const s = c.newMapSubscription(name, options);
			const got = [], all = n => new Promise(done => s.on("update", u => { got.push([u.key, u.removed ? null : read(u.data).n]); if (got.length === n) done(got); }));
			const sync = once(s, "sync");
			s.subscribe();
			return [s, sync, all];
		};
		const [whole, wholeSync, wholeAll] = synced(connect({}, of), { delta: "fossil", pageSize: 1 });
		const [red, redSync, redAll] = synced(connect({}, of), { tagsFilter: { key: "color", cmp: "eq", val: "red" } });
		assert.deepEqual((await wholeSync).entries.map(e => [e.key, read(e.data).n]), [["x", 1], ["y", 1]]);
		assert.deepEqual((await redSync).entries.map(e => e.key), ["x"]);
		const got = Promise.all([wholeAll(3), redAll(2)]);
		await set("y", 2, "blue");
		await set("x", 2, "red");
		await api("map_remove", { channel: name, key: "x" });
		assert.deepEqual(await got, [[["y", 2], ["x", 2], ["x", null]], [["x", 2], ["x", null]]]);
		assert.deepEqual([whole.deltaStats().numFullPayloads, whole.deltaStats().numDeltaPayloads], [2, 2]);
		assert.equal(red.deltaStats().numDeltaPayloads, 0);
	}
});

await step("members as collections", async () => {
	for (const of of [Centrifuge, Protobuf]) {
		const room = "room-" + of.name, watching = connect({}, of);
		const clients = watching.newMapClientsSubscription("$clients:" + room), users = watching.newMapUsersSubscription("$users:" + room);
		const seen = [], all = n => new Promise(done => {
			const add = kind => u => { seen.push(kind + (u.removed ? "-" : "+") + u.key); if (seen.length === n) done(seen); };
			clients.on("update", add("c"));
			users.on("update", add("u"));
		});
		const synced = [once(clients, "sync"), once(users, "sync")];
		clients.subscribe();
		users.subscribe();
		assert.deepEqual((await Promise.all(synced)).map(c => c.entries.length), [0, 0]);
		const got = all(4), ann = connect({ token: token({ sub: "ann", info: { name: "Ann" } }) });
		const { client } = await once(ann, "connected");
		await subscribed(ann, room);
		const late = connect().newMapClientsSubscription("$clients:" + room);
		const sync = once(late, "sync");
		late.subscribe();
		const [entry] = (await sync).entries;
		assert.deepEqual([entry.key, entry.info.user, entry.info.connInfo], [client, "ann", { name: "Ann" }]);
		ann.disconnect();
		assert.deepEqual((await got).toSorted(), ["c+" + client, "c-" + client, "u+ann", "u-ann"]);
	}
});

await step("server API", async () => {
	assert.deepEqual(await api("publish", { channel: "x", data: 1 }, "wrong"), { status: 401 });
	const c = connect({ token: token({ sub: "carl" }) });
	const [s] = await subscribed(c, "api");
	assert.equal((await api("presence_stats", { channel: "api" })).result.num_users, 1);
	const got = once(s, "publication");
	await api("broadcast", { channels: ["api", "other"], data: { b: 1 } });
	assert.deepEqual((await got).data, { b: 1 });
	assert.equal((await api("history", { channel: "api", limit: 10 })).result.publications.length, 1);
	const gone = once(s, "unsubscribed");
	await api("unsubscribe", { user: "carl", channel: "api" });
	assert.equal((await gone).code, 2000);
	const put = once(c, "subscribed");
	await api("subscribe", { user: "carl", channel: "put" });
	assert.equal((await put).channel, "put");
	const closed = once(c, "disconnected");
	await api("disconnect", { user: "carl", disconnect: { code: 4501, reason: "bye" } });
	assert.deepEqual([(await closed).code, (await closed).reason], [4501, "bye"]);
});

await step("fallbacks over HTTP", async () => {
	const listener = connect();
	const [seen] = await subscribed(listener, "fallback");
	for (const transport of ["http_stream", "sse"]) {
		const c = connect({ emulationEndpoint: base + "/emulation" }, Centrifuge, [{ transport, endpoint: base + "/connection/" + transport }]);
		const [s] = await subscribed(c, "fallback");
		let got = Promise.all([once(seen, "publication"), once(s, "publication")]);
		await s.publish({ transport });
		assert.deepEqual((await got).map(p => p.data), [{ transport }, { transport }]);
		got = once(s, "publication");
		await api("publish", { channel: "fallback", data: "from outside" });
		assert.equal((await got).data, "from outside");
	}
});

await step("three protocols on one channel", async () => {
	const c = connect();
	const [s] = await subscribed(c, "private-three");
	const p = new Pusher(key, {
		wsHost: url.hostname, wsPort: url.port, forceTLS: false, enabledTransports: ["ws"], cluster: "", disableStats: true,
		channelAuthorization: {
			customHandler: ({ socketId, channelName }, done) =>
				done(null, { auth: key + ":" + createHmac("sha256", secret).update(socketId + ":" + channelName).digest("hex") }),
		},
	});
	const room = p.subscribe("private-three");
	await new Promise(done => room.bind("pusher:subscription_succeeded", done));
	const own = new WebSocket(base.replace("http", "ws") + "/channels", ["handfast.v1.json"]);
	const inbox = [], waiting = [];
	own.onmessage = m => { const got = JSON.parse(m.data); inbox.push(got); waiting.splice(0).forEach(f => f()); };
	const find = async fits => { for (;;) { const got = inbox.find(fits); if (got) return got; await new Promise(done => waiting.push(done)); } };
	await new Promise(done => { own.onopen = done; });
	own.send(JSON.stringify({ type: "subscribe", id: 1, channel: "private-three" }));
	await find(m => m.type === "subscribed");

	const all = () => Promise.all([
		once(s, "publication").then(p => p.data), new Promise(done => room.bind_global((name, data) => { if (!name.startsWith("pusher")) { room.unbind_global(); done(data); } })),
	]);
	let got = all();
	await api("publish", { channel: "private-three", data: { from: "api" } });
	assert.deepEqual(await got, [{ from: "api" }, { from: "api" }]);
	await find(m => m.data?.from === "api");

	got = once(s, "publication");
	room.trigger("client-hello", { from: "pusher" });
	assert.deepEqual((await got).data, { from: "pusher" });
	await find(m => m.data?.from === "pusher");

	got = all();
	own.send(JSON.stringify({ type: "publish", id: 2, channel: "private-three", data: { from: "channels" } }));
	assert.deepEqual(await got, [{ from: "channels" }, { from: "channels" }]);

	got = all();
	await s.publish({ from: "centrifugo" });
	assert.deepEqual(await got, [{ from: "centrifugo" }, { from: "centrifugo" }]);
	await find(m => m.data?.from === "centrifugo");
	own.close();
	p.disconnect();
});

for (const c of open) c.disconnect();
process.exit(0);
