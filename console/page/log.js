// The log of the WebSocket: sent and received messages and other events, limited in size, with a filter. It contains no
// credential.

import { bytes } from "/console/words.js";
import { dump, hex, indentJSON, isStructure } from "/console/formats.js";

const maxLines = 1000;
const maxKept = 64 * 1024; // characters or bytes of one message, in memory and in the saved file
const maxShown = 4096; // characters of one message on the page

const $ = (id) => document.getElementById(id);
let entries = []; // { time, kind, text, data, size, note, line }

const isEvent = (entry) => entry.kind === "note" || entry.kind === "failed";

function textOf(entry) {
  if (entry.data !== undefined) return `${bytes(entry.size)}\n${dump(entry.data)}`;
  const text = $("indent").checked && !isEvent(entry) && isStructure(entry.text) ? indentJSON(entry.text) : entry.text;
  return text.length > maxShown ? `${text.slice(0, maxShown)} …` : text;
}

function matches(entry) {
  const kind = $("kinds").value;
  const want = $("filter").value.toLowerCase();
  return (kind === "" || (kind === "event" ? isEvent(entry) : entry.kind === kind)) &&
    (want === "" || `${entry.text ?? hex(entry.data)} ${entry.note}`.toLowerCase().includes(want));
}

function count() {
  const shown = entries.filter((entry) => !entry.line.hidden).length;
  $("count").textContent = shown === entries.length ? (shown === 1 ? "1 line" : `${shown} lines`) : `${shown} of ${entries.length} lines`;
}

// add adds a line. kind is "sent", "received", "note" or "failed"; a message is a text or a Uint8Array.
export function add(kind, message, note = "") {
  const log = $("log");
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 8;
  const size = message.length;
  const entry = { time: new Date(), kind, size, note };
  if (typeof message === "string") entry.text = message.slice(0, maxKept);
  else entry.data = message.slice(0, maxKept);
  if (size > maxShown && typeof message === "string") entry.note = `${size.toLocaleString("en")} characters${note ? `, ${note}` : ""}`;

  const line = document.createElement("div");
  line.className = kind;
  const time = document.createElement("time");
  time.dateTime = entry.time.toISOString();
  time.textContent = entry.time.toLocaleTimeString();
  const mark = document.createElement("b");
  mark.textContent = { sent: "sent", received: "received", note: "event", failed: "failed" }[kind];
  const body = document.createElement("span");
  body.textContent = textOf(entry);
  const aside = document.createElement("small");
  aside.textContent = entry.note;
  line.append(time, mark, body, aside);
  line.hidden = !matches(entry);
  entry.line = line;
  entries.push(entry);
  log.append(line);
  while (entries.length > maxLines) entries.shift().line.remove();
  count();
  if (atEnd) log.scrollTop = log.scrollHeight;
}

function refilter() {
  for (const entry of entries) entry.line.hidden = !matches(entry);
  count();
}

// save offers the whole log, including the lines that the filter hides, as a file with one JSON object per line.
function save() {
  const lines = entries.map(({ time, kind, text, data, size, note }) => JSON.stringify({
    time, kind: kind === "note" ? "event" : kind, text, hex: data && hex(data).replaceAll(" ", ""), size, note: note || undefined,
  }));
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob(lines.map((line) => `${line}\n`), { type: "application/jsonl" }));
  link.download = `handfast-${new Date().toISOString().replace(/[:.]/g, "-")}.jsonl`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

$("filter").addEventListener("input", refilter);
$("kinds").addEventListener("change", refilter);
$("indent").addEventListener("change", () => {
  for (const entry of entries) entry.line.querySelector("span").textContent = textOf(entry);
});
$("save").addEventListener("click", save);
$("clear").addEventListener("click", () => {
  entries = [];
  $("log").replaceChildren();
  count();
});
count();
