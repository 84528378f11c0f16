import { Channels } from "./channels.js";

const $ = (id) => document.getElementById(id);

function show(message) {
  const item = document.createElement("li");
  const time = document.createElement("time");
  time.textContent = new Date(message.time).toLocaleTimeString();
  item.append(time, " ", message.data);
  $("news").prepend(item);
}

const url = new URL("/channels", location.href);
url.protocol = url.protocol.replace("http", "ws");
const channels = new Channels(url.href);

// This shows the history, then every later message. No message between the two is lost, even when the connection is lost.
const { messages, position } = await channels.history("news", { limit: 20, reverse: true });
messages.reverse().forEach(show);
channels.subscribe("news", {
  since: position,
  onMessage: show,
  onGap: () => show({ time: Date.now(), data: "(news may be missing here)" }),
  onSubscribed: () => ($("state").textContent = "open"),
});
