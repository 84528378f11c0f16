// Tests the SDKs of the protocol against a server: node sdk.mjs URL ID KEY SECRET PORT MODULE, where PORT receives its webhooks and MODULE
// exports recovering. Exits with 1 at the first failure.
import Pusher from "pusher-js";
import Server from "pusher";
import Echo from "laravel-echo";
import assert from "node:assert/strict";
import http from "node:http";
import net from "node:net";

const [base, appId, key, secret, hooksPort, module] = process.argv.slice(2);
const { recovering } = await import(module);
const url = new URL(base);
const server = new Server({
	appId, key, secret, host: url.hostname, port: url.port, useTLS: false, encryptionMasterKeyBase64: Buffer.alloc(32, 7).toString("base64"),
});

// This collects the webhooks: the names of events by channel, from requests that the SDK finds valid.
const hooks = [];
const receiver = http.createServer((req, res) => {
	let body = "";
	req.setEncoding("utf8").on("data", part => body += part).on("end", () => {
		const hook = server.webhook({ headers: req.headers, rawBody: body });
		hooks.push(...hook.isValid() ? hook.getEvents() : [{ name: "not valid", channel: body }]);
		res.end();
	});
}).listen(hooksPort, "127.0.0.1");

const clients = [];
const connect = (user, more = {}) => {
	const p = new Pusher(key, {
		wsHost: url.hostname, wsPort: url.port, forceTLS: false, enabledTransports: ["ws"], cluster: "", disableStats: true,
		channelAuthorization: {
			customHandler: ({ socketId, channelName }, done) => {
				const member = channelName.startsWith("presence-") ? { user_id: user, user_info: { name: "The " + user } } : undefined;
				done(null, server.authorizeChannel(socketId, channelName, member));
			},
		},
		userAuthentication: { customHandler: ({ socketId }, done) => done(null, server.authenticateUser(socketId, { id: user })) },
		...more,
	});
	clients.push(p);
	return p;
};
const once = (target, event) => new Promise((done, fail) => {
	const timer = setTimeout(() => fail(new Error("no " + event)), 60_000);
	const got = data => { clearTimeout(timer); target.unbind(event, got); done(data); };
	target.bind(event, got);
});
const subscribed = async (p, name) => {
	const channel = p.subscribe(name);
	return [channel, await once(channel, "pusher:subscription_succeeded")];
};
const step = async (name, run) => { await run(); console.log("ok " + name); };

const ann = connect("ann"), bob = connect("bob");
await Promise.all([once(ann.connection, "connected"), once(bob.connection, "connected")]);
assert.match(ann.connection.socket_id, /^\d+\.\d+$/);

await step("public channel", async () => {
	const [news] = await subscribed(ann, "news");
	await subscribed(bob, "news");
	const got = Promise.all([once(news, "hello"), once(bob.channel("news"), "hello")]);
	await server.trigger(["news"], "hello", { text: "<ü>" });
	assert.deepEqual(await got, [{ text: "<ü>" }, { text: "<ü>" }]);
});

await step("exclusion and batch", async () => {
	const seen = [];
	ann.channel("news").bind_global((name, data) => seen.push([name, data]));
	const last = once(ann.channel("news"), "two");
	await server.trigger("news", "mine", 1, { socket_id: ann.connection.socket_id });
	const res = await server.triggerBatch([{ channel: "news", name: "one", data: "1" }, { channel: "news", name: "two", data: { b: 2 }, info: "subscription_count" }]);
	assert.deepEqual(await res.json(), { batch: [{}, { subscription_count: 2 }] });
	await last;
	assert.deepEqual(seen, [["one", 1], ["two", { b: 2 }]]);
	ann.channel("news").unbind_global();
});

await step("private channel and client events", async () => {
	await subscribed(ann, "private-room");
	const [room] = await subscribed(bob, "private-room");
	const got = once(room, "client-typing");
	ann.channel("private-room").bind("client-typing", () => assert.fail("the sender gets its own event"));
	assert.ok(ann.channel("private-room").trigger("client-typing", { on: true }));
	assert.deepEqual(await got, { on: true });
	const bad = connect("eve", { channelAuthorization: { customHandler: (_, done) => done(null, { auth: key + ":" + "0".repeat(64) }) } });
	const wrong = await once(bad.subscribe("private-room"), "pusher:subscription_error");
	assert.equal(wrong.status, 401);
});

await step("presence channel", async () => {
	const [channel, members] = await subscribed(ann, "presence-room");
	assert.equal(members.count, 1);
	assert.deepEqual(members.me, { id: "ann", info: { name: "The ann" } });
	const added = once(channel, "pusher:member_added");
	const [, both] = await subscribed(bob, "presence-room");
	assert.equal(both.count, 2);
	assert.deepEqual(await added, { id: "bob", info: { name: "The bob" } });
	const from = new Promise(done => channel.bind("client-hi", (data, meta) => done(meta.user_id)));
	bob.channel("presence-room").trigger("client-hi", {});
	assert.equal(await from, "bob");
	const users = await (await server.get({ path: "/channels/presence-room/users" })).json();
	assert.deepEqual(users.users.map(u => u.id).sort(), ["ann", "bob"]);
	const info = await (await server.get({ path: "/channels", params: { filter_by_prefix: "presence-", info: "user_count" } })).json();
	assert.deepEqual(info, { channels: { "presence-room": { user_count: 2 } } });
	const removed = once(channel, "pusher:member_removed");
	bob.unsubscribe("presence-room");
	assert.equal((await removed).id, "bob");
	assert.equal(channel.members.count, 1);
});

await step("cache channel", async () => {
	const first = ann.subscribe("cache-price");
	await once(first, "pusher:cache_miss");
	await server.trigger("cache-price", "price", { v: 3 });
	const late = bob.subscribe("cache-price");
	assert.deepEqual(await once(late, "price"), { v: 3 });
});

await step("encrypted channel", async () => {
	const p = new Pusher(key, {
		wsHost: url.hostname, wsPort: url.port, forceTLS: false, enabledTransports: ["ws"], cluster: "",
		channelAuthorization: { customHandler: ({ socketId, channelName }, done) => done(null, server.authorizeChannel(socketId, channelName)) },
	});
	clients.push(p);
	const [channel] = await subscribed(p, "private-encrypted-x");
	const got = once(channel, "secret");
	await server.trigger("private-encrypted-x", "secret", { only: "for members" });
	assert.deepEqual(await got, { only: "for members" });
});

await step("reconnect", async () => {
	const news = ann.channel("news");
	const back = once(news, "pusher:subscription_succeeded");
	ann.disconnect();
	ann.connect();
	await back;
	const got = once(news, "again");
	await server.trigger("news", "again", 1);
	assert.equal(await got, 1);
});

await step("recovery", async () => {
	// This proxy can cut its connections.
	const open = new Set();
	let cut = false;
	const proxy = net.createServer(client => {
		if (cut) return client.destroy();
		const up = net.connect(url.port, url.hostname);
		for (const [a, b] of [[client, up], [up, client]]) {
			open.add(a);
			a.on("error", () => {}).on("close", () => { open.delete(a); b.destroy(); }).pipe(b);
		}
	});
	await new Promise(done => proxy.listen(0, "127.0.0.1", done));
	const eve = recovering(connect("eve", { wsHost: "127.0.0.1", wsPort: proxy.address().port }));
	const names = ["recovered", "private-recovered", "presence-recovered", "cache-recovered"];
	const seen = {}, own = [];
	let missed = 0;
	for (const name of names) {
		const [channel] = await subscribed(eve, name);
		seen[name] = [];
		channel.bind("n", n => seen[name].push(n)).bind("client-n", n => own.push(n)).bind("pusher:missed", () => missed++);
	}
	const [other] = await subscribed(bob, "private-recovered");
	let n = 0;
	const publish = async () => { await server.trigger(names, "n", ++n); };
	const all = async () => {
		for (let i = 0; i < 600 && names.some(name => seen[name].at(-1) !== n); i++) await new Promise(done => setTimeout(done, 100));
		for (const name of names) assert.deepEqual(seen[name], Array.from({ length: n }, (_, i) => i + 1), name);
	};
	for (let round = 0; round < 3; round++) {
		for (let i = 0; i < 3; i++) await publish();
		await all();
		const heard = once(other, "client-n");
		eve.channel("private-recovered").trigger("client-n", round);
		assert.equal(await heard, round);
		if (round === 1) await publish(); // this event may be in transit when the connection ends
		const lost = once(eve.connection, "connecting");
		cut = true;
		for (const socket of open) socket.destroy();
		await lost;
		for (let i = 0; i < 5; i++) await publish();
		const back = once(eve.connection, "connected");
		cut = false;
		await back;
		for (let i = 0; i < 10; i++) await publish(); // these arrive while the client subscribes again
		await all();
	}
	assert.deepEqual([missed, own], [0, []]);
	// The history no longer has all of these events.
	const channel = eve.channel("recovered"), told = once(channel, "pusher:missed");
	cut = true;
	for (const socket of open) socket.destroy();
	for (let i = 0; i < 11; i++) await server.triggerBatch(Array.from({ length: 10 }, () => ({ channel: "recovered", name: "n", data: "0" })));
	cut = false;
	assert.ok((await told).position.epoch);
	eve.disconnect();
	proxy.close();
});

await step("laravel-echo", async () => {
	const echo = new Echo({ broadcaster: "pusher", key, client: connect("cat"), namespace: "App.Events" });
	const here = new Promise(done => echo.join("team").here(done));
	assert.deepEqual(await here, [{ name: "The cat" }]);
	const got = new Promise((done, fail) => echo.private("orders").listen("Shipped", done).error(fail).subscribed(() =>
		server.trigger("private-orders", "App\\Events\\Shipped", { id: 7 })));
	assert.deepEqual(await got, { id: 7 });
});

await step("sign-in, events for a user, and the end of its connections", async () => {
	ann.signin();
	const signedIn = () => ann.user.user_data && ann.user.serverToUserChannel?.subscribed;
	await new Promise(done => { const look = setInterval(() => signedIn() && (clearInterval(look), done()), 20); });
	assert.equal(ann.user.user_data.id, "ann");
	const got = new Promise(done => ann.user.bind("mail", done));
	await server.sendToUser("ann", "mail", { n: 1 });
	assert.deepEqual(await got, { n: 1 });
	const error = new Promise(done => ann.connection.bind("error", e => e.data?.code === 4009 && done()));
	const ended = once(ann.connection, "disconnected"); // this comes after the error: the close frame may be in a later segment
	await server.terminateUserConnections("ann");
	await error;
	await ended;
});

await step("watchlists", async () => {
	const signIn = (user, watchlist) => {
		const p = connect(user, { userAuthentication: { customHandler: ({ socketId }, done) => done(null, server.authenticateUser(socketId, { id: user, watchlist })) } });
		const online = new Promise(done => p.user.watchlist.bind("online", done)), offline = new Promise(done => p.user.watchlist.bind("offline", done));
		p.signin();
		return { p, online, offline };
	};
	const dan = signIn("dan", ["eve", "nobody"]);
	await dan.p.user.signinDonePromise;
	const eve = signIn("eve", ["dan"]);
	assert.deepEqual([(await dan.online).user_ids, (await eve.online).user_ids], [["eve"], ["dan"]]);
	const tab = signIn("eve", ["dan"]);
	await tab.online;
	let offline = 0;
	dan.p.user.watchlist.bind("offline", () => offline++);
	eve.p.disconnect();
	tab.p.disconnect();
	assert.deepEqual((await dan.offline).user_ids, ["eve"]);
	assert.equal(offline, 1);
});

await step("what is wrong", async () => {
	const other = new Server({ appId, key, secret: "wrong", host: url.hostname, port: url.port, useTLS: false });
	await assert.rejects(other.trigger("news", "e", "x"), e => e.status === 401 && e.body.includes("auth_signature"));
	await assert.rejects(server.trigger("news", "e", "x".repeat(10241)), e => e.status === 413);
	const unknown = new Pusher("unknown", { wsHost: url.hostname, wsPort: url.port, forceTLS: false, enabledTransports: ["ws"], cluster: "" });
	clients.push(unknown);
	const error = await new Promise(done => unknown.connection.bind("error", done));
	assert.match(JSON.stringify(error), /4001/);
});

await step("webhooks", async () => {
	const come = async (...want) => {
		const missing = () => want.filter(([name, channel]) => !hooks.some(e => e.name === name && e.channel === channel));
		for (let i = 0; i < 600 && missing().length > 0; i++) await new Promise(done => setTimeout(done, 100));
		assert.deepEqual(missing(), []);
	};
	await subscribed(connect("dan"), "hooked");
	const brief = connect("dan");
	await subscribed(brief, "brief");
	brief.unsubscribe("brief");
	await come(["channel_occupied", "hooked"], ["channel_occupied", "brief"], ["channel_vacated", "brief"]);
	for (const p of clients) p.disconnect();
	await come(["channel_vacated", "hooked"], ["member_added", "presence-room"], ["member_removed", "presence-room"], ["client_event", "private-room"]);
	assert.ok(hooks.some(e => e.name === "cache_miss" && e.channel.includes("cache-")));
	assert.deepEqual(hooks.filter(e => e.name === "not valid"), []);
	const said = hooks.find(e => e.name === "client_event" && e.channel === "private-room");
	assert.deepEqual([said.event, JSON.parse(said.data)], ["client-typing", { on: true }]);
	assert.match(said.socket_id, /^\d+\.\d+$/);
});

receiver.close();
process.exit(0);
