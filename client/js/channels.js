// The client of handfast.v1.json, the plain protocol of channels. It has no dependencies. docs/channels-protocol.md describes the protocol.
// @ts-check

/**
 * A place in the stream of a channel: after the message with that offset.
 * @typedef {{epoch: string, offset: number}} Position
 */

/**
 * A message of a channel. `data` is any JSON; with `binary` it is a string that holds bytes in base64.
 * @typedef {{type: "message", channel: string, offset?: number, data?: any, binary?: boolean, event?: string, key?: string,
 *   removed?: boolean, tags?: Record<string, string>, user?: string, client?: string, info?: any, time?: string}} Message
 */

/**
 * A user in a channel.
 * @typedef {{user: string, data?: any}} Member
 */

/**
 * A change of the members of a channel.
 * @typedef {{type: "join"|"update"|"leave", channel: string, member: Member}} Change
 */

/**
 * The server's answer to a subscription.
 * @typedef {{position: Position, users?: number, members?: Member[], next?: string}} Answer
 */

/**
 * How to subscribe. Without options the subscription gets what is published from now on.
 * @typedef {object} SubscribeOptions
 * @property {Position | {device: string}} [since] start after this position, or after the one that this device has acknowledged
 * @property {boolean} [join] be a member of the channel
 * @property {any} [data] what the member shows to others
 * @property {number} [members] how many members the answer lists
 * @property {boolean} [changes] call onChange
 * @property {(message: Message) => void} [onMessage] called with each message, once and in order
 * @property {(change: Change) => void} [onChange] called when members join, leave or change their data
 * @property {(why: string) => void} [onGap] called when messages may be missing: "new_epoch" or "too_old", or "no_ack"
 *   when the device has acknowledged nothing yet
 * @property {(answer: Answer) => void} [onSubscribed] called with each answer: the first, and those after a lost connection
 * @property {(error: ChannelsError) => void} [onEnd] called when the server has ended the subscription permanently
 */

/**
 * @typedef {object} Options
 * @property {() => (string | Promise<string>)} [token] returns a token, such as a JWT: for each connection, which offers it as
 *   the subprotocol "handfast.token." + token, and when the server asks for a new one
 * @property {(url: string, protocols: string[]) => WebSocket} [connect] opens a WebSocket; by default `new WebSocket`
 * @property {number} [minDelay] limits the delay before the first attempt to reconnect, in milliseconds; by default 1000
 * @property {number} [maxDelay] limits every delay, in milliseconds; by default 30000
 */

export const subprotocol = "handfast.v1.json";

const tokenPrefix = "handfast.token.";
const retryPause = 1000; // the delay before a command that has failed temporarily is tried again
const pingAfter = 30_000; // the time without a message after which the client sends a ping
const temporary = new Set(["too_fast", "unavailable", "insufficient", "slow"]);
const stay = new Set([1008, 1009, 4400, 4403]); // the client does not reconnect after these close codes

/** Why a command has failed, or a subscription has ended. */
export class ChannelsError extends Error {
  /**
   * @param {string} code one word, such as "denied"
   * @param {string} message a description for people
   */
  constructor(code, message) {
    super(message);
    this.name = "ChannelsError";
    this.code = code;
  }
}

/** A subscription to one channel, across all connections. */
export class Subscription {
  /** @type {Channels} */ #channels;
  /** @type {SubscribeOptions} */ #options;
  /** @type {(answer: Answer) => void} */ #resolve = () => {};
  /** @type {(error: Error) => void} */ #reject = () => {};
  #live = false; // the server has answered on this connection

  /**
   * @internal
   * @param {Channels} channels
   * @param {string} channel
   * @param {SubscribeOptions} options
   */
  constructor(channels, channel, options) {
    this.#channels = channels;
    this.#options = { ...options };
    /** The name of the channel. */
    this.channel = channel;
    /** Where the subscription is; undefined before the first answer. @type {Position | undefined} */
    this.position = options.since && "epoch" in options.since ? options.since : undefined;
    /** The server's first answer. @type {Promise<Answer>} */
    this.ready = new Promise((resolve, reject) => { this.#resolve = resolve; this.#reject = reject; });
    this.ready.catch(() => {}); // onEnd gets the error, too
  }

  /** Ends the subscription. */
  unsubscribe() { this.#channels._drop(this); }

  /**
   * Changes what the client shows to others as a member.
   * @param {any} data
   */
  async update(data) {
    this.#options.data = data;
    await this.#channels._ask({ type: "update", channel: this.channel, data });
  }

  /**
   * Tells the server that a device of the user has read everything up to a position. A later subscription, on any
   * connection of the user, continues after it with `since: { device }`.
   * @param {string} device a name that identifies the device among those of the user
   * @param {Position} [position] by default where the subscription is
   */
  async ack(device, position = this.position) {
    if (!position) throw new ChannelsError("not_subscribed", "there is no position before the first answer");
    await this.#channels._ask({ type: "ack", channel: this.channel, device, position });
  }

  /** @internal The command that subscribes. */
  _command() {
    this.#live = false;
    const { since, join, data, members, changes } = this.#options;
    return { type: "subscribe", channel: this.channel, since: this.position ?? since, join, data, members, changes };
  }

  /**
   * @internal
   * @param {any} answer
   */
  _answered(answer) {
    this.#live = true;
    this.position = answer.position;
    this.#resolve(answer);
    this.#options.onSubscribed?.(answer);
    if (answer.recovered === false) this.#options.onGap?.(answer.why);
  }

  /**
   * @internal
   * @param {any} m a message about this channel
   */
  _take(m) {
    if (!this.#live) return; // the message belongs to an earlier subscription
    if (m.type === "unsubscribed") {
      this.#live = false;
      this.#channels._ended(this, m);
    } else if (m.type === "message") {
      if (m.offset && this.position) {
        if (m.offset <= this.position.offset) return;
        this.position = { epoch: this.position.epoch, offset: m.offset };
      }
      this.#options.onMessage?.(m);
    } else this.#options.onChange?.(m);
  }

  /**
   * @internal
   * @param {ChannelsError} error
   */
  _end(error) {
    this.#reject(error);
    this.#options.onEnd?.(error);
  }
}

/**
 * A client of one server. It reconnects by itself until it is closed, or until the server tells it not to come back.
 * The event "state" is dispatched whenever `state` changes, and "lost" whenever a connection has ended or could not be opened.
 */
export class Channels extends EventTarget {
  /** @type {string} */ #url;
  /** @type {Options} */ #options;
  /** @type {WebSocket | null} */ #socket = null;
  #open = false; // the server has said welcome
  #failures = 0; // the number of failed attempts since the last open connection
  #over = new ChannelsError("closed", "the client is closed"); // the error of commands after the end
  #id = 0;
  /** @type {Map<number, {command: any, answer: (m: any) => void, fail: (e: Error) => void, again: boolean}>} */ #calls = new Map();
  /** @type {Map<string, Subscription>} */ #subscriptions = new Map();
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #timer;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #silence;

  /**
   * @param {string} url such as "wss://localhost:8443/channels"
   * @param {Options} [options]
   */
  constructor(url, options = {}) {
    super();
    this.#url = url;
    this.#options = options;
    /** "connecting", "open" or "closed", which is final. @type {"connecting" | "open" | "closed"} */
    this.state = "connecting";
    /** The server's name for this connection. */
    this.client = "";
    /** The authenticated user, or "" if there is none. */
    this.user = "";
    /** The code and reason with which the last connection was closed. @type {{code: number, reason: string} | null} */
    this.closed = null;
    this.#connect();
  }

  /**
   * Subscribes to a channel. A client can have only one subscription to a channel.
   * @param {string} channel
   * @param {SubscribeOptions} [options]
   * @returns {Subscription}
   */
  subscribe(channel, options = {}) {
    if (this.#subscriptions.has(channel)) throw new ChannelsError("already_subscribed", `there is a subscription to ${channel} already`);
    const s = new Subscription(this, channel, options);
    if (this.state === "closed") {
      queueMicrotask(() => s._end(this.#over));
      return s;
    }
    this.#subscriptions.set(channel, s);
    if (this.#open) this.#subscribe(s);
    return s;
  }

  /**
   * Publishes a message, and resolves when the server has accepted it. If the connection is lost before that, the client sends it
   * again; the server publishes it only once.
   * @param {string} channel
   * @param {any} data
   * @param {{message_id?: string, event?: string, key?: string, removed?: boolean, echo?: boolean, binary?: boolean,
   *   tags?: Record<string, string>}} [options]
   * @returns {Promise<{position: Position, duplicate?: boolean}>}
   */
  publish(channel, data, options = {}) {
    const id = Array.from(crypto.getRandomValues(new Uint8Array(12)), (b) => b.toString(16).padStart(2, "0")).join("");
    return this._ask({ message_id: id, ...options, type: "publish", channel, data });
  }

  /**
   * Returns a page of the history of a channel.
   * @param {string} channel
   * @param {{since?: Position, limit?: number, reverse?: boolean}} [options]
   * @returns {Promise<{messages: Message[], position: Position, why?: string}>}
   */
  history(channel, options = {}) { return this._ask({ limit: 100, ...options, type: "history", channel }); }

  /**
   * Returns a page of the members of a channel.
   * @param {string} channel
   * @param {{after?: string, limit?: number}} [options]
   * @returns {Promise<{members: Member[], users: number, next?: string}>}
   */
  members(channel, options = {}) { return this._ask({ ...options, type: "members", channel }); }

  /**
   * Returns a page of a keyed collection.
   * @param {string} channel
   * @param {{after?: string, limit?: number}} [options]
   * @returns {Promise<{messages: Message[], position: Position, next?: string}>}
   */
  snapshot(channel, options = {}) { return this._ask({ ...options, type: "snapshot", channel }); }

  /** Ends the client. */
  close() {
    this.#socket?.close(1000);
    this.#end(this.#over);
  }

  /**
   * @internal Runs a command, on as many connections as it takes, and again while the server says that it may succeed
   * later.
   * @param {any} command
   * @returns {Promise<any>}
   */
  async _ask(command) {
    for (;;) {
      try {
        return await new Promise((answer, fail) => this.#call(command, answer, fail));
      } catch (error) {
        if (!(error instanceof ChannelsError) || !temporary.has(error.code)) throw error;
        await new Promise((resolve) => setTimeout(resolve, retryPause));
      }
    }
  }

  /**
   * @internal
   * @param {Subscription} s
   */
  _drop(s) {
    if (this.#subscriptions.get(s.channel) !== s) return;
    this.#subscriptions.delete(s.channel);
    if (this.#open) this.#send({ type: "unsubscribe", channel: s.channel });
  }

  /**
   * @internal Handles the end of a subscription by the server: subscribes again if the reason is temporary.
   * @param {Subscription} s
   * @param {any} m
   */
  _ended(s, m) {
    if (temporary.has(m.code)) this.#again(s, m.code === "unavailable" ? retryPause : 0);
    else this.#endOf(s, new ChannelsError(m.code, m.message));
  }

  /** @param {any} command */
  #send(command) {
    this.#socket?.send(JSON.stringify(command));
  }

  /**
   * @param {any} command
   * @param {(m: any) => void} answer
   * @param {(e: Error) => void} fail
   * @param {boolean} [again] whether to send it on the next connection if this one is lost
   */
  #call(command, answer, fail, again = true) {
    if (this.state === "closed") {
      fail(this.#over);
      return;
    }
    const id = ++this.#id;
    this.#calls.set(id, { command, answer, fail, again });
    if (this.#open) this.#send({ ...command, id });
  }

  /** @param {Subscription} s */
  #subscribe(s) {
    this.#call(s._command(), (m) => {
      if (this.#subscriptions.get(s.channel) === s) s._answered(m);
    }, (error) => {
      if (this.#subscriptions.get(s.channel) !== s) return;
      if (error instanceof ChannelsError && temporary.has(error.code)) this.#again(s, retryPause);
      else this.#endOf(s, /** @type {ChannelsError} */ (error));
    }, false);
  }

  /**
   * Subscribes again after a pause if the connection is still open; otherwise the next connection does so.
   * @param {Subscription} s
   * @param {number} pause
   */
  #again(s, pause) {
    const socket = this.#socket;
    setTimeout(() => {
      if (this.#open && socket === this.#socket && this.#subscriptions.get(s.channel) === s) this.#subscribe(s);
    }, pause);
  }

  /** @param {Subscription} s @param {ChannelsError} error */
  #endOf(s, error) {
    this.#subscriptions.delete(s.channel);
    s._end(error);
  }

  /** @param {"connecting" | "open" | "closed"} state */
  #become(state) {
    if (this.state === state) return;
    this.state = state;
    this.dispatchEvent(new Event("state"));
  }

  async #connect() {
    const { token, connect } = this.#options;
    const protocols = [subprotocol];
    await undefined; // this lets the listeners of a new client see a failure
    if (!connect && typeof WebSocket === "undefined") {
      this.#end(new ChannelsError("unsupported", "this runtime has no WebSocket: use Node 22 or later, or set the option connect, such as " +
        "connect: (url, protocols) => new WebSocket(url, protocols) with the WebSocket of the package ws"));
      return;
    }
    try {
      const t = await token?.();
      if (t) protocols.push(tokenPrefix + t);
    } catch (error) {
      return this.#lost(1006, `there is no token: ${error}`);
    }
    if (this.state === "closed") return;
    try {
      this.#use(connect ? connect(this.#url, protocols) : new WebSocket(this.#url, protocols));
    } catch (error) {
      this.#end(new ChannelsError("closed", `a WebSocket cannot be opened: ${error}`));
    }
  }

  /** @param {WebSocket} socket */
  #use(socket) {
    this.#socket = socket;
    this.#doubt();
    socket.addEventListener("message", (event) => {
      if (socket !== this.#socket) return;
      this.#heard();
      this.#take(JSON.parse(event.data));
    });
    socket.addEventListener("error", () => {
      // A browser dispatches "close" next, but Node 20 and 22 do not when the connection is refused.
      setTimeout(() => { if (socket === this.#socket) this.#lost(1006, ""); });
    });
    socket.addEventListener("close", (event) => {
      if (socket === this.#socket) this.#lost(event.code, event.reason);
    });
  }

  /** Sends a ping when the server has been silent for a while. */
  #heard() {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => {
      this.#send({ type: "ping", id: ++this.#id });
      this.#doubt();
    }, pingAfter);
  }

  /** Gives up the connection unless the server sends something soon. */
  #doubt() {
    const socket = this.#socket;
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => {
      socket?.close();
      if (socket === this.#socket) this.#lost(1006, "the server does not answer");
    }, pingAfter);
  }

  /** @param {any} m a message of the server */
  #take(m) {
    if (m.type === "welcome") return this.#begin(m);
    if (m.id) {
      const call = this.#calls.get(m.id);
      this.#calls.delete(m.id);
      if (m.type === "error") call?.fail(new ChannelsError(m.code, m.message));
      else call?.answer(m);
      return;
    }
    if (m.type === "refresh") return void this.#refresh();
    this.#subscriptions.get(m.channel)?._take(m);
  }

  /** @param {any} welcome */
  #begin(welcome) {
    this.client = welcome.client;
    this.user = welcome.user ?? "";
    this.#open = true;
    this.#failures = 0;
    for (const s of this.#subscriptions.values()) this.#subscribe(s);
    for (const [id, call] of this.#calls) if (call.again) this.#send({ ...call.command, id });
    this.#become("open");
  }

  async #refresh() {
    const socket = this.#socket;
    try {
      const token = await this.#options.token?.();
      if (token && this.#open && socket === this.#socket) this.#send({ type: "refresh", id: ++this.#id, token });
    } catch {} // without a token the server closes the connection, and the client asks again for the next one
  }

  /** @param {number} code @param {string} reason */
  #lost(code, reason) {
    clearTimeout(this.#silence);
    this.#socket = null;
    this.#open = false;
    this.closed = { code, reason };
    this.dispatchEvent(new Event("lost"));
    for (const [id, call] of this.#calls) if (!call.again) this.#calls.delete(id);
    if (this.state === "closed") return;
    if (stay.has(code)) {
      this.#end(new ChannelsError("closed", `the server has closed the connection: ${code} ${reason}`));
      return;
    }
    this.#become("connecting");
    const { minDelay = 1000, maxDelay = 30_000 } = this.#options;
    const bound = Math.min(maxDelay, minDelay * 2 ** Math.min(this.#failures++, 20));
    this.#timer = setTimeout(() => this.#connect(), Math.random() * bound);
  }

  /** @param {ChannelsError} error */
  #end(error) {
    if (this.state === "closed") return;
    this.#over = error;
    clearTimeout(this.#timer);
    clearTimeout(this.#silence);
    this.#open = false;
    this.#socket = null;
    this.#become("closed");
    for (const call of this.#calls.values()) call.fail(error);
    this.#calls.clear();
    for (const s of this.#subscriptions.values()) s._end(error);
    this.#subscriptions.clear();
  }
}
