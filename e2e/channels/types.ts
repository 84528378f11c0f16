// This program uses the types of client/js. The test compiles it and never runs it.
import { Channels, ChannelsError, type Message, type Position } from "../../client/js/channels.js";

const channels = new Channels("wss://localhost:8443/channels", { token: async () => "token", maxDelay: 10_000 });
let last: Position | undefined;
const chat = channels.subscribe("chat", {
	since: { device: "phone" },
	onMessage: (m: Message) => console.log(m.offset?.toFixed(), m.data),
	onGap: (why) => console.log(why.toUpperCase()),
	onEnd: (error: ChannelsError) => console.log(error.code.length),
});
const { position, members } = await chat.ready;
last = position;
console.log(members?.map((m) => m.user.length));
await chat.ack("phone");
const { duplicate } = await channels.publish("chat", { text: "hello" }, { message_id: "one" });
const state: "connecting" | "open" | "closed" = channels.state;
console.log(last.offset + 1, duplicate === true, state);

// @ts-expect-error: a position needs an epoch and an offset
channels.subscribe("other", { since: { epoch: "e" } });
// @ts-expect-error: a channel is a string
channels.publish(1, {});
// @ts-expect-error: this option does not exist
channels.history("chat", { until: 1 });
