import { Channels } from "./channels.js";
import { Shared } from "./document.js";

const $ = (id) => document.getElementById(id);
const name = decodeURIComponent(location.hash.slice(1)) || "notes";
const me = `guest ${100 + Math.floor(Math.random() * 900)}`;
const members = new Map();

function showMembers() {
  $("members").textContent = [...members.values()].map((data) => data?.name ?? "someone").sort().join(", ");
}

const url = new URL("/channels", location.href);
url.protocol = url.protocol.replace("http", "ws");
const channels = new Channels(url.href);
channels.addEventListener("state", () => { $("state").textContent = channels.state; });

const shared = new Shared(channels, name, {
  data: { name: me },
  onSubscribed: (answer) => {
    members.clear();
    for (const m of answer.members) members.set(m.user, m.data);
    showMembers();
  },
  onChange: ({ type, member }) => {
    if (type === "leave") members.delete(member.user);
    else members.set(member.user, member.data);
    showMembers();
  },
});
const text = shared.doc.getText("text");

// Edits of others change the textarea; the cursor keeps its place in the text.
text.observe((event) => {
  if (event.transaction.local) return;
  let { selectionStart: start, selectionEnd: end } = $("text");
  let at = 0;
  for (const { retain = 0, insert = "", delete: deleted = 0 } of event.delta) {
    at += retain;
    const moved = (cursor) => {
      if (cursor > at) cursor = Math.max(at, cursor - deleted);
      return cursor > at ? cursor + insert.length : cursor;
    };
    [start, end] = [moved(start), moved(end)];
    at += insert.length;
  }
  $("text").value = text.toString();
  $("text").setSelectionRange(start, end);
});

// The difference between the textarea and the document is what this user has typed.
$("text").oninput = () => {
  const before = text.toString();
  const after = $("text").value;
  let head = 0;
  while (head < before.length && head < after.length && before[head] === after[head]) head++;
  let tail = 0;
  while (tail < before.length - head && tail < after.length - head && before.at(-1 - tail) === after.at(-1 - tail)) tail++;
  shared.doc.transact(() => {
    text.delete(head, before.length - head - tail);
    text.insert(head, after.slice(head, after.length - tail));
  });
};

$("name").textContent = name;
await shared.open();
$("text").value = text.toString();
$("text").disabled = false;
