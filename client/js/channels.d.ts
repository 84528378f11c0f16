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
export const subprotocol: "handfast.v1.json";
/** Why a command has failed, or a subscription has ended. */
export class ChannelsError extends Error {
    /**
     * @param {string} code one word, such as "denied"
     * @param {string} message a description for people
     */
    constructor(code: string, message: string);
    code: string;
}
/** A subscription to one channel, across all connections. */
export class Subscription {
    /**
     * @internal
     * @param {Channels} channels
     * @param {string} channel
     * @param {SubscribeOptions} options
     */
    constructor(channels: Channels, channel: string, options: SubscribeOptions);
    /** The name of the channel. */
    channel: string;
    /** Where the subscription is; undefined before the first answer. @type {Position | undefined} */
    position: Position | undefined;
    /** The server's first answer. @type {Promise<Answer>} */
    ready: Promise<Answer>;
    /** Ends the subscription. */
    unsubscribe(): void;
    /**
     * Changes what the client shows to others as a member.
     * @param {any} data
     */
    update(data: any): Promise<void>;
    /**
     * Tells the server that a device of the user has read everything up to a position. A later subscription, on any
     * connection of the user, continues after it with `since: { device }`.
     * @param {string} device a name that identifies the device among those of the user
     * @param {Position} [position] by default where the subscription is
     */
    ack(device: string, position?: Position): Promise<void>;
    /** @internal The command that subscribes. */
    _command(): {
        type: string;
        channel: string;
        since: Position | {
            device: string;
        } | undefined;
        join: boolean | undefined;
        data: any;
        members: number | undefined;
        changes: boolean | undefined;
    };
    /**
     * @internal
     * @param {any} answer
     */
    _answered(answer: any): void;
    /**
     * @internal
     * @param {any} m a message about this channel
     */
    _take(m: any): void;
    /**
     * @internal
     * @param {ChannelsError} error
     */
    _end(error: ChannelsError): void;
    #private;
}
/**
 * A client of one server. It reconnects by itself until it is closed, or until the server tells it not to come back.
 * The event "state" is dispatched whenever `state` changes, and "lost" whenever a connection has ended or could not be opened.
 */
export class Channels extends EventTarget {
    /**
     * @param {string} url such as "wss://localhost:8443/channels"
     * @param {Options} [options]
     */
    constructor(url: string, options?: Options);
    /** "connecting", "open" or "closed", which is final. @type {"connecting" | "open" | "closed"} */
    state: "connecting" | "open" | "closed";
    /** The server's name for this connection. */
    client: string;
    /** The authenticated user, or "" if there is none. */
    user: string;
    /** The code and reason with which the last connection was closed. @type {{code: number, reason: string} | null} */
    closed: {
        code: number;
        reason: string;
    } | null;
    /**
     * Subscribes to a channel. A client can have only one subscription to a channel.
     * @param {string} channel
     * @param {SubscribeOptions} [options]
     * @returns {Subscription}
     */
    subscribe(channel: string, options?: SubscribeOptions): Subscription;
    /**
     * Publishes a message, and resolves when the server has accepted it. If the connection is lost before that, the client sends it
     * again; the server publishes it only once.
     * @param {string} channel
     * @param {any} data
     * @param {{message_id?: string, event?: string, key?: string, removed?: boolean, echo?: boolean, binary?: boolean,
     *   tags?: Record<string, string>}} [options]
     * @returns {Promise<{position: Position, duplicate?: boolean}>}
     */
    publish(channel: string, data: any, options?: {
        message_id?: string;
        event?: string;
        key?: string;
        removed?: boolean;
        echo?: boolean;
        binary?: boolean;
        tags?: Record<string, string>;
    }): Promise<{
        position: Position;
        duplicate?: boolean;
    }>;
    /**
     * Returns a page of the history of a channel.
     * @param {string} channel
     * @param {{since?: Position, limit?: number, reverse?: boolean}} [options]
     * @returns {Promise<{messages: Message[], position: Position, why?: string}>}
     */
    history(channel: string, options?: {
        since?: Position;
        limit?: number;
        reverse?: boolean;
    }): Promise<{
        messages: Message[];
        position: Position;
        why?: string;
    }>;
    /**
     * Returns a page of the members of a channel.
     * @param {string} channel
     * @param {{after?: string, limit?: number}} [options]
     * @returns {Promise<{members: Member[], users: number, next?: string}>}
     */
    members(channel: string, options?: {
        after?: string;
        limit?: number;
    }): Promise<{
        members: Member[];
        users: number;
        next?: string;
    }>;
    /**
     * Returns a page of a keyed collection.
     * @param {string} channel
     * @param {{after?: string, limit?: number}} [options]
     * @returns {Promise<{messages: Message[], position: Position, next?: string}>}
     */
    snapshot(channel: string, options?: {
        after?: string;
        limit?: number;
    }): Promise<{
        messages: Message[];
        position: Position;
        next?: string;
    }>;
    /** Ends the client. */
    close(): void;
    /**
     * @internal Runs a command, on as many connections as it takes, and again while the server says that it may succeed
     * later.
     * @param {any} command
     * @returns {Promise<any>}
     */
    _ask(command: any): Promise<any>;
    /**
     * @internal
     * @param {Subscription} s
     */
    _drop(s: Subscription): void;
    /**
     * @internal Handles the end of a subscription by the server: subscribes again if the reason is temporary.
     * @param {Subscription} s
     * @param {any} m
     */
    _ended(s: Subscription, m: any): void;
    #private;
}
/**
 * A place in the stream of a channel: after the message with that offset.
 */
export type Position = {
    epoch: string;
    offset: number;
};
/**
 * A message of a channel. `data` is any JSON; with `binary` it is a string that holds bytes in base64.
 */
export type Message = {
    type: "message";
    channel: string;
    offset?: number;
    data?: any;
    binary?: boolean;
    event?: string;
    key?: string;
    removed?: boolean;
    tags?: Record<string, string>;
    user?: string;
    client?: string;
    info?: any;
    time?: string;
};
/**
 * A user in a channel.
 */
export type Member = {
    user: string;
    data?: any;
};
/**
 * A change of the members of a channel.
 */
export type Change = {
    type: "join" | "update" | "leave";
    channel: string;
    member: Member;
};
/**
 * The server's answer to a subscription.
 */
export type Answer = {
    position: Position;
    users?: number;
    members?: Member[];
    next?: string;
};
/**
 * How to subscribe. Without options the subscription gets what is published from now on.
 */
export type SubscribeOptions = {
    /**
     * start after this position, or after the one that this device has acknowledged
     */
    since?: Position | {
        device: string;
    } | undefined;
    /**
     * be a member of the channel
     */
    join?: boolean | undefined;
    /**
     * what the member shows to others
     */
    data?: any;
    /**
     * how many members the answer lists
     */
    members?: number | undefined;
    /**
     * call onChange
     */
    changes?: boolean | undefined;
    /**
     * called with each message, once and in order
     */
    onMessage?: ((message: Message) => void) | undefined;
    /**
     * called when members join, leave or change their data
     */
    onChange?: ((change: Change) => void) | undefined;
    /**
     * called when messages may be missing: "new_epoch" or "too_old", or "no_ack"
     * when the device has acknowledged nothing yet
     */
    onGap?: ((why: string) => void) | undefined;
    /**
     * called with each answer: the first, and those after a lost connection
     */
    onSubscribed?: ((answer: Answer) => void) | undefined;
    /**
     * called when the server has ended the subscription permanently
     */
    onEnd?: ((error: ChannelsError) => void) | undefined;
};
export type Options = {
    /**
     * returns a token, such as a JWT: for each connection, which offers it as
     * the subprotocol "handfast.token." + token, and when the server asks for a new one
     */
    token?: (() => (string | Promise<string>)) | undefined;
    /**
     * opens a WebSocket; by default `new WebSocket`
     */
    connect?: ((url: string, protocols: string[]) => WebSocket) | undefined;
    /**
     * limits the delay before the first attempt to reconnect, in milliseconds; by default 1000
     */
    minDelay?: number | undefined;
    /**
     * limits every delay, in milliseconds; by default 30000
     */
    maxDelay?: number | undefined;
};
