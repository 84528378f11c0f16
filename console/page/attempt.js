// One attempt to open a WebSocket: its URL, its credential, and the reason if it failed. This module does not use the
// document.

import { endpointAt } from "/console/endpoints.js";

const base = new URL("/", location.href);
base.protocol = location.protocol === "https:" ? "wss:" : "ws:";

// parseURL parses a path, or a URL of this server. It throws an Error that explains what is wrong.
export function parseURL(text) {
  let url;
  try {
    url = new URL(text.trim() || "/", base);
  } catch {
    throw new Error("This is not a URL.");
  }
  const scheme = { "http:": "ws:", "https:": "wss:" }[url.protocol] ?? url.protocol;
  if (url.host !== base.host) throw new Error(`This page can connect only to ${base.host}. For other servers, use handfast dial.`);
  if (scheme !== base.protocol) throw new Error(`This page was loaded over ${location.protocol.slice(0, -1)}, so the URL must begin with ${base.protocol}//`);
  if (/[{}]|%7B|%7D/i.test(url.pathname)) throw new Error("Replace the part in braces.");
  url.protocol = base.protocol;
  url.hash = "";
  return url;
}

const token68 = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/; // a subprotocol is a token (RFC 9110 §5.6.2)

function base64url(text) {
  const bytes = new TextEncoder().encode(text);
  return btoa(String.fromCharCode(...bytes)).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
}

// carriers returns the ways to send a token to an endpoint, as [value, label]; the endpoint may be undefined.
export function carriers(endpoint) {
  const list = [];
  const prefixes = endpoint?.token_prefixes ?? [];
  for (const p of prefixes) list.push([`prefix ${p}`, prefixes.length > 1 ? `as a subprotocol: ${p}…` : "as a subprotocol"]);
  if (endpoint?.kubernetes) list.push(["kubernetes", "as Kubernetes does"]);
  for (const t of endpoint?.tickets ?? []) list.push([`ticket ${t.path} ${t.query}`, `as a ticket from ${t.path}`]);
  return list.length > 0 ? list : [["prefix handfast.token.", "as a subprotocol"]];
}

async function ticketFrom(path, token) {
  let reply;
  try {
    reply = await fetch(path, { method: "POST", headers: token === "" ? {} : { Authorization: `Bearer ${token}` } });
  } catch {
    throw new Error(`No ticket: ${path} does not respond.`);
  }
  if (!reply.ok) throw new Error(`No ticket: ${path} answered ${reply.status}. ${(await reply.text()).trim().slice(0, 200)}`);
  return (await reply.json()).ticket;
}

// newKey returns a random key of 144 bits.
function newKey() {
  return btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(18)))).replace(/\+/g, "-").replace(/\//g, "_");
}

// prepare returns the arguments for opening a WebSocket: url is for display, target also contains the ticket and the key of
// this attempt. It throws an Error that explains what is wrong.
export async function prepare(all, { text, subprotocols, token, carrier }) {
  const url = parseURL(text);
  const offered = subprotocols.split(",").map((s) => s.trim()).filter((s) => s !== "");
  const wrong = offered.find((s, i) => !token68.test(s) || offered.indexOf(s) !== i);
  if (wrong !== undefined) throw new Error(`"${wrong}" cannot be offered as a subprotocol, or is listed twice.`);
  const attempt = { url: url.href, endpoint: endpointAt(all, url.pathname), token, key: newKey(), target: new URL(url) };
  const [way, where, query] = carrier.split(" ");
  if (way === "ticket" && (token !== "" || !attempt.endpoint?.open)) {
    const ticket = await ticketFrom(where, token);
    attempt.target.search += `${attempt.target.search ? "&" : "?"}${encodeURIComponent(query)}=${encodeURIComponent(ticket)}`;
  } else if (token !== "") {
    const entry = way === "kubernetes" ? `base64url.bearer.authorization.k8s.io.${base64url(token)}` : where + token;
    if (!token68.test(entry)) throw new Error("The token has characters that are not allowed in a subprotocol: send it as a ticket.");
    offered.push(entry);
  }
  attempt.target.search += `${attempt.target.search ? "&" : "?"}handfast-attempt=${attempt.key}`;
  attempt.offered = offered;
  return attempt;
}

// why asks the server how an attempt ended. It returns null if the server has no record, and undefined if the server does not
// respond.
export async function why(attempt) {
  try {
    const reply = await fetch(`/console/attempts/${attempt.key}`, { cache: "no-store" });
    if (reply.ok) return await reply.json();
    return reply.status === 404 ? null : undefined;
  } catch {
    return undefined;
  }
}
