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

// What was published before, then everything behind it: nothing in between is lost, also while the connection is.
const { messages, position } = await channels.history("news", { limit: 20, reverse: true });
messages.reverse().forEach(show);
channels.subscribe("news", {
  since: position,
  onMessage: show,
  onGap: () => show({ time: Date.now(), data: "(news may be missing here)" }),
  onSubscribed: () => ($("state").textContent = "open"),
});
