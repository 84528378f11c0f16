// A Yjs document uses two channels: doc-NAME has its updates in order, and state-NAME has the whole document, stored now and then.

import * as Y from "yjs";

const compactEvery = 100; // a number of updates

const encode = (bytes) => {
  let text = "";
  for (let i = 0; i < bytes.length; i += 0x8000) text += String.fromCharCode(...bytes.subarray(i, i + 0x8000));
  return btoa(text);
};
const decode = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));

/** Keeps doc the same in every browser that has it open. */
export class Shared {
  #channels;
  #name;
  #subscription;
  #updates = 0; // the number since the last stored state

  /** @param {import("./channels.js").Channels} channels */
  constructor(channels, name, options) {
    this.doc = new Y.Doc();
    this.#channels = channels;
    this.#name = name;
    this.options = options;
  }

  /** Gets the whole document, then follows its updates. */
  async open() {
    await this.#state();
    const since = await this.#everything();
    this.#subscription = this.#channels.subscribe(`doc-${this.#name}`, {
      since, join: true, members: 100, changes: true, ...this.options,
      onMessage: (message) => this.#take(message),
      onGap: () => this.#resync(),
    });
    await this.#subscription.ready;
    this.doc.on("update", (update, origin) => {
      if (origin !== this) this.#publish(update);
    });
  }

  update(data) { return this.#subscription.update(data); }

  /** Applies the last stored state. */
  async #state() {
    const { messages } = await this.#channels.snapshot(`state-${this.#name}`, { limit: 1 });
    if (messages.length > 0) Y.applyUpdate(this.doc, decode(messages[0].data.update), this);
  }

  /**
   * Applies all updates that the channel keeps, and returns the position after them. Some may be older than the stored state;
   * Yjs applies nothing twice.
   */
  async #everything() {
    let since;
    for (;;) {
      const page = await this.#channels.history(`doc-${this.#name}`, { limit: 500, since });
      page.messages.forEach((message) => this.#apply(message));
      if (page.messages.length === 0) return page.position;
      since = { epoch: page.position.epoch, offset: page.messages.at(-1).offset };
    }
  }

  #apply(message) {
    if (message.binary) Y.applyUpdate(this.doc, decode(message.data), this);
  }

  #take(message) {
    this.#apply(message);
    if (++this.#updates >= compactEvery * 2) this.#compact(); // the client that should have stored the state has left
  }

  async #publish(update) {
    await this.#channels.publish(`doc-${this.#name}`, encode(update), { binary: true, echo: false });
    if (++this.#updates >= compactEvery) await this.#compact();
  }

  /** Stores the whole document, so that nobody needs the earlier updates. */
  async #compact() {
    this.#updates = 0;
    const update = encode(Y.encodeStateAsUpdate(this.doc));
    await this.#channels.publish(`state-${this.#name}`, { update }, { key: "state" });
  }

  /**
   * Recovers after missed updates: applies the stored state and the kept updates, and publishes the whole document in case the others
   * lack some of it. Yjs applies nothing twice.
   */
  async #resync() {
    await this.#state();
    await this.#everything();
    await this.#publish(Y.encodeStateAsUpdate(this.doc));
  }
}
