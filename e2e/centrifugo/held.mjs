// Runs clients of Centrifugo's JavaScript SDK, alternating JSON and Protobuf: node held.mjs URL CLIENTS EACH PAUSE. Each subscribes to a channel,
// EACH of them to the same one, where one client publishes a number every PAUSE ms. A line "goes on" is answered once each publisher has
// had another reply and each subscriber has received everything acknowledged by then. A line "seen" is answered with what the clients have
// seen since the last such line.
import { Centrifuge } from "centrifuge";
import { Centrifuge as Protobuf } from "centrifuge/build/protobuf";
import { WebSocket } from "ws";
import { createInterface } from "node:readline";

const [url, clients, each, pause] = [process.argv[2], ...process.argv.slice(3).map(Number)];
let ending = false;
const seen = { closed: {}, lost: 0, doubled: 0 };
const all = [];
const connect = i => {
	const c = new (i % 2 ? Protobuf : Centrifuge)(url, { websocket: WebSocket, timeout: 60_000 });
	let first = true;
	const left = context => { seen.closed[context.code] = (seen.closed[context.code] ?? 0) + 1; };
	c.on("disconnected", left);
	c.on("connecting", context => { if (!first) left(context); first = false; });
	c.on("error", context => console.error(context));
	c.connect();
	all.push(c);
	return c;
};

// A subscriber knows which number comes next.
const subscribers = [], publishers = [];
const decode = data => data instanceof Uint8Array ? JSON.parse(new TextDecoder().decode(data)) : data;
for (let i = 0; i < clients; i++) {
	const channel = "room-" + Math.floor(i / each);
	const s = connect(i).newSubscription(channel, { recoverable: true });
	const one = { channel, next: 0, ready: new Promise(done => s.once("subscribed", done)) };
	s.on("publication", context => {
		const n = decode(context.data);
		if (n < one.next) {
			seen.doubled++;
			return;
		}
		seen.lost += n - one.next;
		one.next = n + 1;
	});
	s.on("subscribing", context => { if (one.subscribed) seen.closed["subscription " + context.code] = 1; one.subscribed = true; });
	s.subscribe();
	subscribers.push(one);
}
await Promise.all(subscribers.map(s => s.ready));

const waiting = new Set();
const wait = so => new Promise(done => {
	const look = () => { if (so()) { waiting.delete(look); done(); } };
	waiting.add(look);
	look();
});
setInterval(() => waiting.forEach(look => look()), 5);

for (const channel of new Set(subscribers.map(s => s.channel))) {
	const c = connect(publishers.length), one = { channel, acknowledged: 0 };
	publishers.push(one);
	(async () => {
		for (;;) {
			const data = c instanceof Protobuf ? new TextEncoder().encode(String(one.acknowledged)) : one.acknowledged;
			await c.publish(channel, data);
			one.acknowledged++;
			await new Promise(done => setTimeout(done, pause));
		}
	})().catch(err => { if (!ending) { console.error("publish:", err); process.exit(1); } });
}

console.log("ready");
for await (const line of createInterface({ input: process.stdin })) {
	if (line === "seen") {
		console.log(JSON.stringify(seen));
		Object.assign(seen, { closed: {}, lost: 0, doubled: 0 });
		continue;
	}
	const want = new Map(publishers.map(p => [p.channel, p.acknowledged + 1]));
	await wait(() => publishers.every(p => p.acknowledged >= want.get(p.channel)) && subscribers.every(s => s.next >= want.get(s.channel)));
	console.log("goes on");
}
ending = true;
all.forEach(c => c.disconnect());
process.exit(0);
