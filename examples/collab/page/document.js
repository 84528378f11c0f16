// A Yjs document in two channels: doc-NAME has its updates, in their order, and state-NAME the whole of it from time to time.

import * as Y from "yjs";

const compactEvery = 100; // updates

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
  #updates = 0; // since the last state

  /** @param {import("./channels.js").Channels} channels */
  constructor(channels, name, options) {
    this.doc = new Y.Doc();
    this.#channels = channels;
    this.#name = name;
    this.options = options;
  }

  /** Gets the whole document, and what is typed from there on. */
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
   * Applies all updates that are kept, and returns the position behind them. More are kept than there can be behind the stored state;
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
    if (++this.#updates >= compactEvery * 2) this.#compact(); // the one who should have has left
  }

  async #publish(update) {
    await this.#channels.publish(`doc-${this.#name}`, encode(update), { binary: true, echo: false });
    if (++this.#updates >= compactEvery) await this.#compact();
  }

  /** Stores the whole document, so that the updates before it are needed no more. */
  async #compact() {
    this.#updates = 0;
    const update = encode(Y.encodeStateAsUpdate(this.doc));
    await this.#channels.publish(`state-${this.#name}`, { update }, { key: "state" });
  }

  /** Updates were missed: takes the stored state and what is kept, and gives the others what may be only here. Yjs applies nothing twice. */
  async #resync() {
    await this.#state();
    await this.#everything();
    await this.#publish(Y.encodeStateAsUpdate(this.doc));
  }
}
