// Explanations of close codes and of the outcomes of handshakes.

const codes = {
  1000: ["normal closure", "the purpose of the connection is fulfilled"],
  1001: ["going away", "the server is stopping, or the user left the page"],
  1002: ["protocol error", "one side broke a rule of the WebSocket protocol"],
  1003: ["unsupported data", "a message was of a type that the other side does not accept"],
  1005: ["no status", "the close frame had no code"],
  1006: ["abnormal closure", "the connection was lost without a close frame"],
  1007: ["invalid payload data", "a text message was not valid UTF-8"],
  1008: ["policy violation", "the server does not allow what was sent, or no longer allows the connection"],
  1009: ["message too big", "a message was larger than the endpoint accepts"],
  1010: ["mandatory extension", "the client requires an extension that the server did not agree to"],
  1011: ["internal error", "the server encountered an unexpected condition"],
  1012: ["service restart", "the server is restarting: reconnect"],
  1013: ["try again later", "the server is overloaded"],
  1014: ["bad gateway", "a server behind this one did not respond correctly"],
  3000: ["unauthorized", "the credentials are missing or not valid"],
  3003: ["forbidden", "the client does not have permission"],
  3008: ["timeout", "the other side took too long"],
  4401: ["credential no longer valid", "the token has expired or was revoked: connect with a new one"],
};

// closeWords returns a close code and its reason as a sentence.
export function closeWords(code, reason) {
  const [name, meaning] = codes[code] ?? (code >= 4000 ? ["", "a code of the application"] : ["", "a code of a library or framework"]);
  return `${code}${name ? ` ${name}` : ""}: ${meaning}${reason ? `. Reason: ${reason}` : ""}`;
}

// good reports whether a connection ended as planned.
export const good = (code) => code === 1000 || code === 1001 || code === 1005;

const count = new Intl.NumberFormat("en");

export const bytes = (n) => n === 1 ? "1 byte" : `${count.format(n)} bytes`;

// claims returns the claims in a JWT, null if the token is not a JWT. They are not verified: only the server can check the
// signature.
function claims(token) {
  try {
    const part = token.split(".")[1].replace(/-/g, "+").replace(/_/g, "/");
    return JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(part), (c) => c.charCodeAt(0))));
  } catch {
    return null;
  }
}

// tokenFault returns the fault that this page can find in a token, "" if there is none.
export function tokenFault(token, now = Date.now()) {
  const c = claims(token);
  if (c === null || typeof c !== "object") return "";
  const at = (seconds) => new Date(seconds * 1000).toLocaleString();
  if (typeof c.exp === "number" && c.exp * 1000 <= now) return `The token expired at ${at(c.exp)}.`;
  if (typeof c.nbf === "number" && c.nbf * 1000 > now) return `The token is not valid before ${at(c.nbf)}.`;
  return "";
}

// ways describes how a page can send a credential to an endpoint.
export function ways(endpoint) {
  const list = [];
  if (endpoint.token_prefixes || endpoint.kubernetes) list.push("a token as a subprotocol");
  for (const t of endpoint.tickets ?? []) list.push(`a ticket from ${t.path}`);
  return list.join(", or ");
}

const noWay = "A page cannot send any of the credentials that this endpoint accepts: browsers send no Authorization header with a WebSocket. They send your cookies and certificates automatically.";
const addWay = "use handfast dial with the credential, or, in the server's configuration, add subprotocol to from of the endpoint's jwt method, or add a ticket method";

// needs describes what to know about an endpoint before connecting.
export function needs(endpoint, carried) {
  const chosen = endpoint.subprotocols ?? [];
  if (endpoint.open) return "Open to all clients.";
  if (ways(endpoint) === "") return `Requires a credential. ${noWay}`;
  const warning = carried === "ticket" || chosen.length > 0 || !endpoint.token_prefixes && !endpoint.kubernetes || endpoint.tickets
    ? "" : " It has no subprotocols of its own, so a browser will fail the connection: see docs/auth.md.";
  return `Requires a credential: ${ways(endpoint)}.${warning}`;
}

// refused returns a title, the cause and the next step for a handshake that the server rejected.
function refused(o, { endpoint, token }) {
  const title = `Rejected with ${o.status}`;
  const reason = o.reason ? `${o.reason[0].toUpperCase()}${o.reason.slice(1)}${/[.!?]$/.test(o.reason) ? "" : "."}` : "";
  const clause = o.clause ? ` (${o.clause})` : "";
  const wait = o.retry_after ? `try again in ${o.retry_after} s` : "try again in a few seconds";
  if (o.status === 401 && token === "") {
    const how = endpoint ? ways(endpoint) : "";
    return how || !endpoint
      ? [title, "This endpoint requires a credential, and the page sent none.", how ? `enter a token above; the endpoint accepts ${how}` : "enter a token above"]
      : [title, `This endpoint requires a credential. ${noWay}`, addWay];
  }
  if (o.status === 401 && endpoint && ways(endpoint) === "") return [title, `The server did not find the token. ${noWay}`, addWay];
  if (o.status === 401) {
    const fault = tokenFault(token);
    return fault ? [title, fault, "use a new token"]
      : [title, "The server did not accept the token: it was sent in a way that the endpoint does not accept, its signature, issuer or audience is wrong, or it was revoked. For security reasons the response does not say which.",
        "the server's log has the reason, and so does /handshakes on its admin listener"];
  }
  if (o.stage === "rules") return [title, "The token is valid, but the endpoint's rules do not allow this user to connect.", "use a token that satisfies the rules; the server's log names the rule"];
  if (o.status === 404) return [title, `${reason}`, o.hint || "choose an endpoint above"];
  if (o.status === 429 || o.status === 503) return [title, reason, wait];
  return [title, `${reason}${clause}`, o.hint || "check the server's log"];
}

// failure explains why a WebSocket did not open. outcome is the server's record of the handshake: undefined if the server did
// not respond, null if it has no record.
export function failure(outcome, attempt) {
  const { url, endpoint, offered } = attempt;
  if (outcome === undefined) return ["No response", "The server does not respond: it has stopped, or the network is down.", "start the server, then connect again"];
  if (outcome === null) {
    return ["No record", "The server has no record of this handshake: it did not arrive, or the connection ended before the request was read. A proxy in front may have answered it.",
      `handfast explain ${url} shows each step`];
  }
  if (outcome.status !== 101) return refused(outcome, attempt);
  if (offered.length > 0) {
    const has = endpoint?.subprotocols?.length ? endpoint.subprotocols.join(", ") : "none";
    return ["Closed by the browser", `The server accepted the connection but chose none of the offered subprotocols, so the browser closed it (RFC 6455 §4.1). The endpoint's subprotocols: ${has}.`,
      endpoint?.subprotocols?.length ? "offer one of these" : "add one to the endpoint's subprotocols in the configuration, and offer it here"];
  }
  return ["Lost on the way", "The server accepted the connection, but its response did not reach the browser: a proxy in between may not forward upgrades.", `handfast explain ${url} shows each step`];
}
