// Tests the client of client/js against a server: node client.mjs HOST:PORT KEY SECRET, where KEY is the key of the server API and SECRET
// signs tokens. Exits with 1 at the first failure. It ends without process.exit after the last step only if closed clients leave no timer
// or socket behind.
import { Channels, ChannelsError } from "../../client/js/channels.js";
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { once } from "node:events";
import net from "node:net";

const [address, apiKey, secret] = process.argv.slice(2);
const patience = 40_000; // the limit of each wait
const [host, port] = address.split(":");

const token = (user, claims = {}, lasts = 3600) => {
	const part = (v) => Buffer.from(JSON.stringify(v)).toString("base64url");
	const text = `${part({ alg: "HS256" })}.${part({ sub: user, exp: Math.floor(Date.now() / 1000) + lasts, ...claims })}`;
	return `${text}.${createHmac("sha256", secret).update(text).digest("base64url")}`;
};

/** Calls the server API. */
const api = async (method, body) => {
	const res = await fetch(`http://${address}/api/${method}`, { method: "POST", headers: { "X-API-Key": apiKey }, body: JSON.stringify(body) });
	const answer = await res.json();
	assert.equal(answer.error, undefined, JSON.stringify(answer));
	return answer.result;
};

/** Starts a TCP proxy in front of the server; it can cut its connections and refuse new ones. */
class Network {
	#sockets = new Set();
	refuses = false;

	async listen() {
		this.server = net.createServer((near) => {
			if (this.refuses) return near.destroy();
			const far = net.connect(port, host);
			for (const [a, b] of [[near, far], [far, near]]) {
				this.#sockets.add(a);
				a.pipe(b);
				a.on("error", () => {}).on("close", () => { this.#sockets.delete(a); b.destroy(); });
			}
		}).listen(0, "127.0.0.1");
		await once(this.server, "listening");
		this.url = `ws://127.0.0.1:${this.server.address().port}/channels`;
		return this;
	}

	cut() { for (const s of this.#sockets) s.destroy(); }
	close() { this.server.close(); this.cut(); }
}

/** A queue of what arrives; next() waits for the next item. */
class Inbox {
	#all = [];
	#wake = () => {};
	put = (v) => { this.#all.push(v); this.#wake(); };

	async next(what = "more") {
		const late = AbortSignal.timeout(patience);
		while (this.#all.length === 0) {
			await new Promise((done, fail) => {
				this.#wake = done;
				late.onabort = () => fail(new Error(`no ${what}`));
			});
		}
		late.onabort = null;
		return this.#all.shift();
	}

	get empty() { return this.#all.length === 0; }
}

const network = await new Network().listen();
const clients = [];
const connect = (user, options = {}) => {
	const c = new Channels(network.url, { token: () => token(user), minDelay: 5, maxDelay: 50, ...options });
	clients.push(c);
	return c;
};
const becomes = async (c, state) => { while (c.state !== state) await once(c, "state", { signal: AbortSignal.timeout(patience) }); };
const fails = (promise, code) => assert.rejects(promise, (e) => e instanceof ChannelsError && e.code === code && e.message !== "");
const data = (m) => m.data;
const step = async (name, run) => {
	await run();
	for (const c of clients.splice(0)) c.close();
	console.log("ok " + name);
};

await step("publish, history and a keyed collection", async () => {
	const ann = connect("ann"), bob = connect("bob"), got = new Inbox(), own = new Inbox();
	const a = ann.subscribe("chat-1", { onMessage: own.put });
	const b = bob.subscribe("chat-1", { onMessage: got.put });
	await Promise.all([a.ready, b.ready]);
	assert.deepEqual([ann.state, ann.user, bob.user], ["open", "ann", "bob"]);
	const first = await ann.publish("chat-1", { text: "<ü>" }, { event: "said", tags: { lang: "de" }, message_id: "one" });
	const twice = await ann.publish("chat-1", "not again", { message_id: "one" });
	assert.deepEqual([twice.duplicate, twice.position], [true, first.position]);
	await ann.publish("chat-1", "AAEC", { binary: true, echo: false });
	await ann.publish("chat-1", 3, { key: "k" });
	const m = await got.next();
	assert.deepEqual([m.data, m.event, m.tags, m.user, m.client], [{ text: "<ü>" }, "said", { lang: "de" }, "ann", ann.client]);
	assert.deepEqual([await got.next(), await got.next()].map((m) => [m.data, m.binary, m.key]), [["AAEC", true, undefined], [3, undefined, "k"]]);
	assert.deepEqual([await own.next(), await own.next()].map(data), [{ text: "<ü>" }, 3]); // the message without echo does not come back
	assert.deepEqual(b.position, { epoch: first.position.epoch, offset: first.position.offset + 2 });
	const page = await bob.history("chat-1", { limit: 2, reverse: true });
	assert.deepEqual([page.messages.map(data), page.position], [[3, "AAEC"], b.position]);
	assert.deepEqual((await bob.history("chat-1", { since: first.position })).messages.map(data), ["AAEC", 3]);
	assert.deepEqual((await bob.snapshot("chat-1")).messages.map((m) => [m.key, m.data]), [["k", 3]]);
});

await step("recovery across cut connections: no gap, no duplicate", async () => {
	const reader = connect("ann"), writer = connect("bob"), got = new Inbox(), gaps = [], n = 500;
	let lost = 0, answers = 0;
	reader.addEventListener("lost", () => lost++);
	const s = reader.subscribe("chat-2", { onMessage: got.put, onGap: (why) => gaps.push(why), onSubscribed: () => answers++ });
	await s.ready;
	const written = (async () => { for (let i = 0; i < n; i++) await writer.publish("chat-2", i); })();
	for (let i = 0; i < n; i++) {
		assert.equal((await got.next(`message ${i}`)).data, i);
		if (i % 50 !== 49) continue;
		await becomes(reader, "open");
		network.cut();
		await becomes(reader, "connecting");
	}
	await written;
	assert.ok(got.empty);
	assert.deepEqual(gaps, []);
	assert.equal(s.position.offset, n); // this shows that each was published only once
	assert.ok(lost >= n / 50 && answers > 1, `lost ${lost} times, subscribed ${answers} times`);
});

await step("a gap that the history does not cover", async () => {
	const reader = connect("ann"), got = new Inbox(), gaps = new Inbox();
	const s = reader.subscribe("short-1", { onMessage: got.put, onGap: gaps.put });
	const { position } = await s.ready;
	network.refuses = true;
	network.cut();
	await becomes(reader, "connecting");
	for (const i of [1, 2, 3, 4]) await api("publish", { channel: "short-1", data: i }); // this is two more than the channel keeps
	network.refuses = false;
	assert.equal(await gaps.next(), "too_old");
	assert.equal(s.position.offset, 4);
	await api("publish", { channel: "short-1", data: 5 });
	assert.equal((await got.next()).data, 5);

	const other = connect("bob"), otherGaps = new Inbox();
	await other.subscribe("short-1", { since: { epoch: "another", offset: 1 }, onGap: otherGaps.put }).ready;
	assert.equal(await otherGaps.next(), "new_epoch");
	const late = connect("bob"), lateGot = new Inbox();
	await late.subscribe("short-1", { since: { epoch: position.epoch, offset: 3 }, onMessage: lateGot.put }).ready;
	assert.deepEqual([await lateGot.next(), await lateGot.next()].map(data), [4, 5]);
});

await step("acknowledgement by device", async () => {
	const open = async (user, device) => {
		const c = connect(user), got = new Inbox(), gaps = new Inbox();
		const s = c.subscribe("chat-3", { since: { device }, onMessage: got.put, onGap: gaps.put });
		assert.throws(() => c.subscribe("chat-3"), (e) => e.code === "already_subscribed");
		await assert.rejects(s.ack(device), ChannelsError); // the subscription has no position yet
		await s.ready;
		return { c, s, got, gaps };
	};
	const phone = await open("ann", "phone"), tablet = await open("ann", "tablet");
	assert.deepEqual([await phone.gaps.next(), await tablet.gaps.next()], ["no_ack", "no_ack"]);
	const at = [];
	for (const i of [1, 2, 3, 4]) at.push((await phone.c.publish("chat-3", i)).position);
	for (const i of [1, 2, 3, 4]) assert.equal((await phone.got.next()).data, i);
	await tablet.s.ack("tablet", at[0]);
	await phone.s.ack("phone", at[2]);
	await phone.s.ack("phone", at[1]); // an acknowledgement is never taken back
	phone.c.close();
	tablet.c.close();
	const phone2 = await open("ann", "phone"), tablet2 = await open("ann", "tablet"), other = await open("bob", "phone");
	assert.equal((await phone2.got.next()).data, 4);
	assert.deepEqual([await tablet2.got.next(), await tablet2.got.next(), await tablet2.got.next()].map(data), [2, 3, 4]);
	assert.equal(await other.gaps.next(), "no_ack"); // the devices of one user are not those of another
	await phone2.s.ack("phone"); // this acknowledges the current position
	network.cut(); // after this the subscription continues at its own position, not at the acknowledged one
	await phone2.c.publish("chat-3", 5);
	assert.equal((await phone2.got.next()).data, 5);
	assert.ok(phone2.gaps.empty && phone2.got.empty);
});

await step("members", async () => {
	const ann = connect("ann"), bob = connect("bob"), changes = new Inbox();
	const a = ann.subscribe("room-1", { join: true, data: { name: "Ann" }, members: 10, changes: true, onChange: changes.put });
	const first = await a.ready;
	assert.deepEqual([first.users, first.members], [1, [{ user: "ann", data: { name: "Ann" } }]]);
	const b = bob.subscribe("room-1", { join: true, data: { name: "Bob" } });
	await b.ready;
	const next = async () => { const { type, member } = await changes.next(); return [type, member.user, member.data]; };
	assert.deepEqual(await next(), ["join", "bob", { name: "Bob" }]);
	await b.update({ typing: true });
	assert.deepEqual(await next(), ["update", "bob", { typing: true }]);
	const page = await bob.members("room-1", { limit: 1 });
	assert.deepEqual([page.users, page.members.length, (await bob.members("room-1", { after: page.next })).members.length], [2, 1, 1]);
	network.cut();
	await Promise.all([ann, bob].map((c) => becomes(c, "connecting")));
	await Promise.all([ann, bob].map((c) => becomes(c, "open")));
	for (let both = []; both.length < 2;) both = (await ann.members("room-1")).members; // they become members again, with their latest data
	const again = (await ann.members("room-1")).members.map((m) => [m.user, m.data]).sort();
	assert.deepEqual(again, [["ann", { name: "Ann" }], ["bob", { typing: true }]]);
	b.unsubscribe();
	for (let change; change?.[0] !== "leave" || change[1] !== "bob";) change = await next();
});

await step("tokens: for each connection, and renewed on it", async () => {
	// The server asks for another token whenever the current one expires within an hour.
	const tokens = [token("cat", {}, 60), token("cat", { roles: ["writer"] }, 9000), token("cat", {}, 9000)];
	let asked = 0, lost = 0;
	const renewed = new Inbox();
	const cat = connect("cat", { token: async () => { const t = tokens[asked++]; if (asked === 2) renewed.put(t); return t; } });
	cat.addEventListener("lost", () => lost++);
	await cat.subscribe("chat-5").ready;
	const { client } = cat;
	await renewed.next("question for another token");
	await cat.publish("written-1", 1); // only the second token allows this
	assert.deepEqual([cat.user, cat.client, asked, lost], ["cat", client, 2, 0]);
	network.cut();
	await becomes(cat, "connecting");
	await becomes(cat, "open");
	assert.equal(asked, 3);
	await fails(cat.publish("written-1", 1), "denied");

	// The client tries again when it gets no token, and when the server rejects the token.
	const slow = [() => { throw new Error("not now"); }, async () => "wrong", async () => token("dan", {}, 9000)];
	let tries = 0;
	const dan = connect("dan", { token: () => slow[Math.min(tries++, 2)]() });
	const reasons = [];
	dan.addEventListener("lost", () => reasons.push(dan.closed.reason));
	await becomes(dan, "open");
	assert.deepEqual([dan.user, tries, reasons.length], ["dan", 3, 2]);
	assert.match(reasons[0], /not now/);
});

await step("errors", async () => {
	const ann = connect("ann");
	const ends = new Inbox();
	const s = ann.subscribe("secret", { onEnd: ends.put });
	await fails(s.ready, "denied");
	assert.equal((await ends.next()).code, "denied");
	await fails(ann.publish("secret", 1), "denied");
	await fails(ann.publish("chat-6", "x".repeat(70_000)), "too_big");
	await fails(ann.publish("chat-6", undefined), "bad_request");
	await fails(ann.history("chat-6", { limit: 5000 }), "bad_request");
	await fails(s.update({}), "not_subscribed");
	await fails(ann.members("chat-6"), "no_presence");
	await ann.publish("paced-1", 1);
	await ann.publish("paced-1", 2); // this exceeds the limit, so the client sends it again after a second
	assert.equal(ann.state, "open");
});

await step("what the application ends", async () => {
	const ann = connect("ann"), ends = new Inbox();
	const a = ann.subscribe("chat-7", { onEnd: ends.put }), b = ann.subscribe("chat-8", { onEnd: ends.put });
	await Promise.all([a.ready, b.ready]);
	await api("unsubscribe", { user: "ann", channel: "chat-7" });
	assert.equal((await ends.next()).code, "server");
	await api("disconnect", { user: "ann" });
	assert.equal((await ends.next()).code, "closed");
	assert.deepEqual([ann.state, ann.closed.code], ["closed", 4400]);
	await fails(ann.publish("chat-7", 1), "closed");
	await fails(ann.subscribe("chat-7").ready, "closed");
});

/** A fake WebSocket: a test decides what it receives, and sees what it sends. */
class Fake extends EventTarget {
	sent = new Inbox();
	closed = false;
	constructor(welcomes = true) {
		super();
		if (welcomes) setTimeout(() => this.gets({ type: "welcome", client: "fake" }));
	}
	gets(m) { this.dispatchEvent(new MessageEvent("message", { data: JSON.stringify(m) })); }
	send(text) { this.sent.put(JSON.parse(text)); }
	loses(code) { this.dispatchEvent(Object.assign(new Event("close"), { code, reason: "" })); }
	close() { this.closed = true; }
}
const fake = (options) => {
	const sockets = new Inbox();
	return [connect("ann", { connect: () => { const f = new Fake(); sockets.put(f); return f; }, ...options }), sockets];
};

await step("a token that cannot be renewed", async () => {
	const tokens = [() => "one", () => { throw new Error("not now"); }, async () => { throw new Error("not now"); }, () => "two"];
	let asked = 0;
	const [c, sockets] = fake({ token: () => tokens[asked++]() });
	await becomes(c, "open");
	const first = await sockets.next();
	for (let i = 0; i < 2; i++) first.gets({ type: "refresh", expires_in: 30 });
	first.loses(4401);
	await becomes(c, "connecting");
	assert.deepEqual(c.closed, { code: 4401, reason: "" });
	await becomes(c, "open"); // it uses another token
	assert.deepEqual([asked, first.sent.empty], [4, true]);
});

await step("a server that does not say welcome", async () => {
	const { setTimeout } = globalThis, sockets = new Inbox();
	globalThis.setTimeout = (f, after) => setTimeout(f, after === 30_000 ? 0 : after);
	const c = connect("ann", { token: undefined, connect: () => { const f = new Fake(false); sockets.put(f); return f; } });
	const socket = await sockets.next();
	await sockets.next("second attempt");
	globalThis.setTimeout = setTimeout;
	assert.deepEqual([socket.closed, c.closed], [true, { code: 1006, reason: "the server does not answer" }]);
});

await step("what is left of an earlier subscription", async () => {
	const [c, sockets] = fake(), got = new Inbox(), ends = [];
	const position = { epoch: "e", offset: 3 };
	const before = c.subscribe("chat", { onMessage: () => assert.fail("it has ended") });
	const socket = await sockets.next();
	socket.gets({ type: "subscribed", id: (await socket.sent.next()).id, channel: "chat", position });
	await before.ready;
	before.unsubscribe();
	before.unsubscribe(); // the second call does nothing
	const s = c.subscribe("chat", { onMessage: got.put, onEnd: (e) => ends.push(e.code) });
	assert.equal((await socket.sent.next()).type, "unsubscribe");
	const { type, id } = await socket.sent.next();
	assert.equal(type, "subscribe");
	socket.gets({ type: "message", channel: "chat", offset: 4, data: "before" });
	socket.gets({ type: "unsubscribed", channel: "chat", code: "server", message: "before" });
	socket.gets({ type: "subscribed", id, channel: "chat", position: { ...position, offset: 4 } });
	socket.gets({ type: "message", channel: "chat", offset: 5, data: "after" });
	await s.ready;
	assert.equal((await got.next()).data, "after");
	assert.deepEqual(ends, []);
});

await step("a retry that a lost connection has overtaken", async () => {
	const [c, sockets] = fake(), ends = [];
	const s = c.subscribe("chat", { onEnd: (e) => ends.push(e.code) });
	const first = await sockets.next();
	first.gets({ type: "error", id: (await first.sent.next()).id, channel: "chat", code: "unavailable", message: "later" });
	first.loses(1006);
	const second = await sockets.next();
	second.gets({ type: "subscribed", id: (await second.sent.next()).id, channel: "chat", position: { epoch: "e", offset: 0 } });
	await s.ready;
	const done = c.publish("chat", 1); // its retry waits as long as the one of the subscription
	second.gets({ type: "error", id: (await second.sent.next()).id, channel: "chat", code: "unavailable", message: "later" });
	const next = await second.sent.next();
	assert.equal(next.type, "publish"); // it does not subscribe twice
	second.gets({ type: "published", id: next.id, position: { epoch: "e", offset: 1 } });
	await done;
	assert.deepEqual(ends, []);
});

await step("close", async () => {
	const ann = connect("ann"), ends = new Inbox();
	const s = ann.subscribe("chat-10", { onEnd: ends.put });
	const pending = ann.publish("chat-10", 1);
	ann.close();
	ann.close();
	await Promise.all([fails(s.ready, "closed"), fails(pending, "closed")]);
	assert.equal((await ends.next()).code, "closed");
	const nowhere = new Channels("ws://127.0.0.1:1/", { minDelay: 5, maxDelay: 5 });
	for (let i = 0; i < 2; i++) await once(nowhere, "lost", { signal: AbortSignal.timeout(patience) });
	assert.equal(nowhere.closed.code, 1006);
	nowhere.close();
	const wrong = new Channels("nonsense:");
	await becomes(wrong, "closed");
	await fails(wrong.publish("chat", 1), "closed");
});

network.close();
