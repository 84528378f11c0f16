import { Channels } from "./channels.js";

const $ = (id) => document.getElementById(id);

/** A room that this page is a member of. */
class Room {
  #channels;
  #name;
  #me;
  #members = new Map(); // the data of each member, by user
  #reads = new Map(); // the offset that each user has read up to
  #lines = new Map(); // the elements that show who has read a message, by its offset
  #read = 0;
  #typing = false;
  #timer;

  constructor(channels, name, me) {
    this.#channels = channels;
    this.#name = name;
    this.#me = me;
  }

  async enter() {
    const page = await this.#channels.history(`room-${this.#name}`, { limit: 50, reverse: true });
    const reads = await this.#channels.snapshot(`read-${this.#name}`, { limit: 500 });
    page.messages.reverse().forEach((m) => this.#show(m));
    reads.messages.forEach((m) => this.#reads.set(m.key, m.data));
    this.room = this.#channels.subscribe(`room-${this.#name}`, {
      since: page.position, join: true, data: { typing: false }, members: 200, changes: true,
      onMessage: (m) => this.#show(m),
      onGap: () => this.#note("messages may be missing here"),
      onChange: ({ type, member }) => {
        if (type === "leave") this.#members.delete(member.user);
        else this.#members.set(member.user, member.data);
        this.#showMembers();
      },
      onSubscribed: (answer) => {
        this.#members = new Map(answer.members.map((m) => [m.user, m.data]));
        this.#showMembers();
      },
    });
    this.reads = this.#channels.subscribe(`read-${this.#name}`, {
      since: reads.position,
      onMessage: (m) => { this.#reads.set(m.key, m.data); this.#showReads(); },
    });
    await Promise.all([this.room.ready, this.reads.ready]);
    this.seen();
  }

  leave() {
    clearTimeout(this.#timer);
    this.room?.unsubscribe();
    this.reads?.unsubscribe();
  }

  say(text) {
    this.typing(false);
    return this.#channels.publish(this.room.channel, text);
  }

  /** Tells the others whether this user is typing; three seconds without a key mean no. */
  typing(now) {
    clearTimeout(this.#timer);
    if (now) this.#timer = setTimeout(() => this.typing(false), 3000);
    if (now === this.#typing) return;
    this.#typing = now;
    this.room.update({ typing: now }).catch(() => {});
  }

  /** Tells the others that this user has read every message, if the page is visible. */
  seen() {
    const last = Math.max(0, ...this.#lines.keys());
    if (document.hidden || last <= this.#read) return;
    this.#read = last;
    this.#channels.publish(`read-${this.#name}`, last, { key: this.#me }).catch(() => {});
  }

  #show(message) {
    const li = document.createElement("li");
    const who = document.createElement("b");
    const reads = document.createElement("small");
    who.textContent = `${message.user ?? "server"} `;
    reads.className = "reads";
    li.append(who, String(message.data), " ", reads);
    $("log").append(li);
    li.scrollIntoView({ block: "nearest" });
    this.#lines.set(message.offset, reads);
    this.#showReads();
    if (this.room) this.seen();
  }

  #note(text) {
    const li = document.createElement("li");
    li.textContent = text;
    $("log").append(li);
  }

  /** Shows each other user below the last message that they have read. */
  #showReads() {
    const last = new Map();
    const offsets = [...this.#lines.keys()].sort((a, b) => a - b);
    for (const [user, offset] of this.#reads) {
      const at = offsets.findLast((o) => o <= offset);
      if (at !== undefined && user !== this.#me) last.set(at, [...last.get(at) ?? [], user]);
    }
    for (const [offset, element] of this.#lines) {
      const users = last.get(offset);
      element.textContent = users ? `✓ read by ${users.join(", ")}` : "";
    }
  }

  #showMembers() {
    $("members").replaceChildren(...[...this.#members].sort().map(([user, data]) => {
      const li = document.createElement("li");
      li.textContent = user;
      li.classList.toggle("typing", data?.typing === true && user !== this.#me);
      return li;
    }));
  }
}

let room;
let channels;

$("enter").onsubmit = async (event) => {
  event.preventDefault();
  const me = $("name").value;
  room?.leave();
  channels?.close();
  $("log").replaceChildren();
  const url = new URL(`/channels?name=${encodeURIComponent(me)}`, location.href);
  url.protocol = url.protocol.replace("http", "ws");
  channels = new Channels(url.href);
  channels.addEventListener("state", () => { $("state").textContent = channels.state; });
  room = new Room(channels, $("room").value, me);
  try {
    await room.enter();
    document.querySelector("main").hidden = false;
  } catch (error) {
    $("state").textContent = error.message;
  }
};

$("text").oninput = () => room.typing($("text").value !== "");
$("say").onsubmit = (event) => {
  event.preventDefault();
  if ($("text").value === "") return;
  room.say($("text").value).catch((error) => { $("state").textContent = error.message; });
  $("text").value = "";
};
document.addEventListener("visibilitychange", () => room?.seen());
