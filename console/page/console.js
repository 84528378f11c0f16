// The WebSocket of the page: one connection to any endpoint of this server, and its events.

import { endpointAt, endpoints } from "/console/endpoints.js";
import { carriers, parseURL, prepare, why } from "/console/attempt.js";
import { closeWords, failure, good, needs } from "/console/words.js";
import { checkJSON, indentJSON, parseHex } from "/console/formats.js";
import { add } from "/console/log.js";

const $ = (id) => document.getElementById(id);
const all = await endpoints;

let socket = null;
let current = null; // the attempt that created socket
let turn = 0; // attempts so far
let probe = null; // { text, done } of an echo that is being measured

$("host").textContent = location.host;

// The endpoint and the URL.

function chosen() {
  try {
    return endpointAt(all, parseURL($("url").value).pathname);
  } catch {
    return all.find((e) => e.path === $("endpoint").value);
  }
}

function showNeeds() {
  const endpoint = chosen();
  let note = endpoint ? needs(endpoint, $("carry").value.split(" ")[0]) : "The server has no endpoint at this path.";
  let wrong = false;
  try {
    parseURL($("url").value);
  } catch (error) {
    note = error.message;
    wrong = true;
  }
  $("url-note").textContent = note;
  $("url").setAttribute("aria-invalid", String(wrong));
}

function showCarriers() {
  const before = $("carry").value;
  const list = carriers(chosen());
  $("carry").replaceChildren(...list.map(([value, label]) => new Option(label, value)));
  if (list.some(([value]) => value === before)) $("carry").value = before;
}

function choose(endpoint) {
  const url = new URL(location.href);
  $("url").value = `${url.protocol === "https:" ? "wss:" : "ws:"}//${url.host}${endpoint.path}`;
  $("subprotocols").value = (endpoint.subprotocols ?? []).join(", ");
  $("more").open ||= !endpoint.open;
  showCarriers();
  showNeeds();
}

for (const endpoint of all) {
  const kind = [endpoint.protocol, endpoint.open ? "" : "credential"].filter((s) => s && s !== endpoint.path.slice(1)).join(", ");
  $("endpoint").add(new Option(`${endpoint.path}${kind ? ` (${kind})` : ""}`, endpoint.path), $("endpoint").length - 1);
}

$("endpoint").addEventListener("change", () => {
  const endpoint = all.find((e) => e.path === $("endpoint").value);
  if (endpoint) choose(endpoint);
  if (!endpoint || endpoint.path.includes("{")) {
    $("url").focus();
    const from = $("url").value.indexOf("{");
    if (from >= 0) $("url").setSelectionRange(from, $("url").value.indexOf("}", from) + 1);
  }
});
$("url").addEventListener("input", () => {
  $("endpoint").value = chosen()?.path ?? "";
  showCarriers();
  showNeeds();
});
$("carry").addEventListener("change", showNeeds);

const first = all.find((e) => e.protocol === "echo" && e.open) ?? all[0];
if (first) {
  $("endpoint").value = first.path;
  choose(first);
} else {
  $("url").value = "/";
  showCarriers();
  $("url-note").textContent = "The server has no endpoint for WebSockets.";
}

// The connection.

function state(name, text) {
  $("state").dataset.state = name;
  $("state").textContent = text;
  const busy = name === "open" || name === "connecting";
  $("toggle").textContent = busy ? "Close" : "Connect";
  $("toggle").classList.toggle("primary", !busy);
  $("send").disabled = $("ping").disabled = name !== "open";
}

function showFailure([title, text, next]) {
  $("failure-title").textContent = title;
  $("failure-text").textContent = text;
  $("failure-next").textContent = `${next}.`;
  $("failure").hidden = false;
  add("failed", `${title}. ${text} Next step: ${next}.`);
  state("failed", title.toLowerCase());
}

async function connect() {
  const mine = ++turn;
  $("failure").hidden = true;
  state("connecting", "connecting …");
  let attempt;
  try {
    attempt = await prepare(all, { text: $("url").value, subprotocols: $("subprotocols").value, token: $("token").value.trim(), carrier: $("carry").value });
  } catch (error) {
    if (mine === turn) showFailure(["Not sent", error.message, "correct the fields above, then connect again"]);
    return;
  }
  if (mine === turn) open(attempt);
}

function open(attempt) {
  const mine = new WebSocket(attempt.target, attempt.offered);
  let opened = false;
  mine.binaryType = "arraybuffer";
  socket = mine;
  current = attempt;
  mine.addEventListener("open", () => {
    opened = true;
    state("open", mine.protocol ? `connected, ${mine.protocol}` : "connected");
    add("note", `Connected to ${attempt.url}${mine.protocol ? `, subprotocol ${mine.protocol}` : ""}.`);
  });
  mine.addEventListener("message", (event) => received(event.data));
  mine.addEventListener("close", async (event) => {
    if (socket !== mine) return;
    probe?.done(null);
    socket = null;
    if (opened) {
      const words = closeWords(event.code, event.reason);
      add(good(event.code) ? "note" : "failed", `Closed with ${words}.`);
      state(good(event.code) ? "closed" : "failed", `closed: ${words}`);
      return;
    }
    const asked = turn;
    const outcome = await why(attempt);
    if (asked === turn) showFailure(failure(outcome, attempt));
  });
}

function received(data) {
  if (probe !== null && data === probe.text) {
    probe.done(performance.now());
    return;
  }
  if (typeof data === "string") add("received", data);
  else add("received", new Uint8Array(data));
}

$("connect").addEventListener("submit", (event) => {
  event.preventDefault();
  if ($("toggle").textContent === "Connect") {
    connect();
  } else if (socket === null || socket.readyState === WebSocket.CONNECTING) {
    turn++;
    const given = socket;
    socket = null;
    given?.close();
    state("closed", "not connected");
  } else {
    socket.close(1000, "closed by the page");
  }
});

// Messages.

const format = () => document.querySelector("input[name=format]:checked").value;

function textNote(message) {
  $("text-note").textContent = message;
  $("text").setAttribute("aria-invalid", String(message !== ""));
}

// message returns the content of the field in the selected format. It throws an Error that explains what is wrong.
function message() {
  const text = $("text").value;
  if (format() === "hex") return parseHex(text);
  if (format() === "json") checkJSON(text);
  return text;
}

function check() {
  let fault = "";
  try {
    if ($("text").value !== "") message();
  } catch (error) {
    fault = `${error.message[0].toUpperCase()}${error.message.slice(1)}.`;
  }
  textNote(fault);
  $("pretty").hidden = format() !== "json";
  $("text").placeholder = { text: "Enter sends, Shift+Enter starts a new line", json: '{"key": "value"}', hex: "48 65 6c 6c 6f" }[format()];
  $("text").classList.toggle("mono", format() !== "text");
}

$("form").addEventListener("submit", (event) => {
  event.preventDefault();
  if (socket?.readyState !== WebSocket.OPEN) return; // keep the text, so that it can be sent after the next connect
  try {
    const data = message();
    socket.send(data);
    add("sent", data);
    $("text").value = "";
    textNote("");
  } catch (error) {
    textNote(`Not sent: ${error.message}.`);
  }
});
$("text").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  $("form").requestSubmit();
});
$("text").addEventListener("input", check);
$("pretty").addEventListener("click", () => {
  try {
    checkJSON($("text").value);
    $("text").value = indentJSON($("text").value);
    $("text").rows = Math.min(12, Math.max(2, $("text").value.split("\n").length));
  } catch {
    check();
  }
});
for (const radio of document.querySelectorAll("input[name=format]")) radio.addEventListener("change", check);
check();

// The round trip. A page cannot send a WebSocket ping: it measures an echo if the endpoint has one, and otherwise an HTTP
// request beside the WebSocket.

const probes = 5;
const wait = 10_000; // milliseconds

async function echoTime() {
  const text = `handfast round trip ${crypto.getRandomValues(new Uint32Array(2)).join("-")}`;
  let timer;
  const sent = performance.now();
  const answered = await new Promise((done) => {
    probe = { text, done };
    timer = setTimeout(done, wait, null);
    socket.send(text);
  });
  clearTimeout(timer);
  probe = null;
  return answered === null ? null : answered - sent;
}

async function requestTime() {
  const sent = performance.now();
  try {
    await (await fetch("/console/icon.svg", { cache: "no-store" })).arrayBuffer();
  } catch {
    return null;
  }
  return performance.now() - sent;
}

$("ping").addEventListener("click", async () => {
  const echoes = current?.endpoint?.protocol === "echo";
  $("ping").disabled = true;
  const times = [];
  for (let i = 0; i < probes && socket?.readyState === WebSocket.OPEN; i++) {
    const took = echoes ? await echoTime() : await requestTime();
    if (took === null) break;
    times.push(took);
  }
  $("ping").disabled = socket?.readyState !== WebSocket.OPEN;
  times.sort((a, b) => a - b);
  const ms = (n) => `${n.toFixed(1)} ms`;
  const what = echoes ? "Round trip of a message and its echo through this WebSocket" :
    "Round trip of a separate HTTP request to this server, since this endpoint does not echo and browsers send no pings";
  if (times.length === 0) add("failed", `${what}: no response.`);
  else add("note", `${what}: ${ms(times[times.length >> 1])} (median of ${times.length}; ${ms(times[0])} to ${ms(times.at(-1))}).`);
});
