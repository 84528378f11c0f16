// The echo of the page: one WebSocket to /echo, a line for everything that happens to it.

const url = new URL("/echo", location.href);
url.protocol = location.protocol === "https:" ? "wss:" : "ws:";

const names = {
  1000: "normal closure", 1001: "going away", 1002: "protocol error", 1003: "unsupported data",
  1005: "no status received", 1006: "abnormal closure", 1007: "invalid payload data", 1008: "policy violation",
  1009: "message too big", 1011: "internal error", 1012: "service restart", 1013: "try again later",
};
const keep = 500; // lines in the log
const $ = (id) => document.getElementById(id);

let socket = null;
let waiting = []; // when each message was sent whose echo has not come yet

$("url").textContent = url.href;

function show(kind, text, note = "") {
  const log = $("log");
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 8;
  const line = document.createElement("li");
  line.className = kind;
  const time = document.createElement("time");
  time.textContent = new Date().toLocaleTimeString();
  const body = document.createElement("span");
  body.textContent = text;
  const aside = document.createElement("small");
  aside.textContent = note;
  line.append(time, body, aside);
  log.append(line);
  while (log.childElementCount > keep) log.firstElementChild.remove();
  if (atEnd) log.scrollTop = log.scrollHeight;
}

function state(name, text) {
  $("state").dataset.state = name;
  $("state").textContent = text;
  $("toggle").textContent = name === "open" || name === "connecting" ? "Close" : "Connect";
  $("send").disabled = name !== "open";
}

function describe(data) {
  return typeof data === "string" ? data : `${data.byteLength} bytes`;
}

function connect() {
  const mine = new WebSocket(url);
  let opened = false;
  mine.binaryType = "arraybuffer";
  socket = mine;
  waiting = [];
  state("connecting", "connecting …");

  mine.addEventListener("open", () => {
    opened = true;
    state("open", "connected");
    show("note", `connected to ${url.href}`);
    send("hello");
  });
  mine.addEventListener("message", (event) => {
    const since = waiting.shift();
    show("received", describe(event.data), since === undefined ? "" : `${(performance.now() - since).toFixed(1)} ms`);
  });
  mine.addEventListener("close", (event) => {
    const name = names[event.code] ? ` ${names[event.code]}` : "";
    const reason = event.reason ? `: ${event.reason}` : "";
    const good = event.code === 1000 || event.code === 1001;
    const what = opened ? "closed with" : "could not connect:";
    show(good ? "note" : "failed", `${what} ${event.code}${name}${reason}`);
    state(good ? "closed" : "failed", `closed: ${event.code}${name}${reason}`);
    socket = null;
  });
}

function send(text) {
  if (socket?.readyState !== WebSocket.OPEN) return;
  waiting.push(performance.now());
  socket.send(text);
  show("sent", text);
}

$("toggle").addEventListener("click", () => {
  if (socket === null) connect();
  else socket.close(1000, "closed on the page");
});
$("clear").addEventListener("click", () => $("log").replaceChildren());
$("form").addEventListener("submit", (event) => {
  event.preventDefault();
  if (socket?.readyState !== WebSocket.OPEN) return; // the text stays for when it is connected again
  send($("text").value);
  $("text").value = "";
});

connect();
