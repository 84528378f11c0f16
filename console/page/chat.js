// The chat of the page: a room is a channel, and everyone who has the room open is a member of it.

import { Channels } from "/console/channels.js";
import { endpoints } from "/console/endpoints.js";

// The chat needs an endpoint with channels that everyone may use.
const place = (await endpoints).find((e) => e.protocol === "channels" && e.open && !e.path.includes("{"));
const url = new URL(place?.path ?? "/channels", location.href);
url.protocol = location.protocol === "https:" ? "wss:" : "ws:";

const keep = 500; // lines in the log
const $ = (id) => document.getElementById(id);
if (url.href !== "wss://localhost:8443/channels") $("publish").textContent = `handfast publish --url ${url} chat hello`; // this URL is the default of --url

const channels = place ? new Channels(url.href) : null;
let room = null; // the subscription
let names = new Map(); // names of the members, by user
let joins = 0; // rooms entered so far
let everOpen = false;

function line(kind, text, who = "", time = new Date()) {
  const log = $("chat-log");
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 8;
  const entry = document.createElement("div");
  entry.className = kind;
  const at = document.createElement("time");
  at.textContent = time.toLocaleTimeString();
  const name = document.createElement("b");
  name.textContent = who;
  const body = document.createElement("span");
  body.textContent = text;
  entry.append(at, name, body);
  log.append(entry);
  while (log.childElementCount > keep) log.firstElementChild.remove();
  if (atEnd) log.scrollTop = log.scrollHeight;
}

const nameOf = (member) => String(member.data?.name ?? "someone");

function show(message) {
  const data = message.data;
  const text = typeof data === "string" ? data : data?.text ?? JSON.stringify(data);
  const mine = message.client !== undefined && message.client === channels.client;
  line(mine ? "sent" : "received", String(text), String(data?.name ?? message.user ?? ""), new Date(message.time ?? Date.now()));
}

function showMembers() {
  const list = [...names.values()].sort((a, b) => a.localeCompare(b));
  $("members").replaceChildren(...list.map((name) => {
    const li = document.createElement("li");
    li.textContent = name;
    return li;
  }));
}

function changed({ type, member }) {
  if (type === "leave") names.delete(member.user);
  else names.set(member.user, nameOf(member));
  if (type !== "update") line("note", `${nameOf(member)} has ${type === "join" ? "joined" : "left"}`);
  showMembers();
}

// join enters a room: it shows the last messages, and then new ones without a gap.
async function join(name) {
  const turn = ++joins;
  room?.unsubscribe();
  room = null;
  names = new Map();
  $("chat-log").replaceChildren();
  showMembers();
  if (name !== "chat" || location.hash !== "") history.replaceState(null, "", `#${encodeURIComponent(name)}`);
  let since;
  try {
    const page = await channels.history(name, { limit: 50, reverse: true });
    if (turn !== joins) return; // another room was chosen in the meantime
    page.messages.reverse().forEach(show);
    since = page.position;
  } catch {
    if (turn !== joins) return;
    // The room has no history for this client.
  }
  const mine = channels.subscribe(name, {
    since, join: true, data: { name: $("name").value }, members: 100, changes: true,
    onMessage: show,
    onChange: changed,
    onGap: () => line("note", "messages may be missing here"),
    onSubscribed: (answer) => {
      names = new Map((answer.members ?? []).map((m) => [m.user, nameOf(m)]));
      showMembers();
      $("chat-send").disabled = false;
    },
    onEnd: (error) => line("failed", `${name}: ${error.message}`),
  });
  room = mine;
}

function state() {
  everOpen ||= channels.state === "open";
  if (everOpen) $("chat").hidden = false;
  const text = { open: "connected", connecting: "connecting …", closed: "not connected" }[channels.state];
  $("chat-state").dataset.state = channels.state === "closed" ? "failed" : channels.state;
  $("chat-state").textContent = text;
  if (channels.state !== "open") $("chat-send").disabled = true;
  else if (room) $("chat-send").disabled = false;
}

channels?.addEventListener("state", state);

$("name").value = localStorage.getItem("name") ?? `guest ${100 + Math.floor(Math.random() * 900)}`;
$("room").value = decodeURIComponent(location.hash.slice(1)) || "chat";

$("name").addEventListener("change", async () => {
  const name = $("name").value;
  localStorage.setItem("name", name);
  const mine = room;
  try {
    await mine?.update({ name });
  } catch (error) {
    line("failed", error.message);
    return;
  }
  const me = channels.user || channels.client; // the server does not send a client its own changes
  if (mine !== null && mine === room && names.has(me)) {
    names.set(me, name);
    showMembers();
  }
});
$("room").addEventListener("change", () => { if ($("room").value !== "") join($("room").value); });
$("chat-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const text = $("chat-text").value;
  if (text === "" || !room) return;
  $("chat-text").value = "";
  try {
    await channels.publish(room.channel, { text, name: $("name").value });
  } catch (error) {
    line("failed", `not sent: ${error.message}`);
  }
});

if (channels) {
  state();
  join($("room").value);
}
