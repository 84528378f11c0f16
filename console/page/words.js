// What codes and outcomes mean, in words.

const codes = {
  1000: ["normal closure", "the connection has done what it was for"],
  1001: ["going away", "the server stops, or the page was left"],
  1002: ["protocol error", "one side broke a rule of the WebSocket protocol"],
  1003: ["unsupported data", "a message was of a type that the other side does not take"],
  1005: ["no status", "the close frame had no code"],
  1006: ["abnormal closure", "the connection was lost without a close frame"],
  1007: ["invalid payload data", "a text message was not valid UTF-8"],
  1008: ["policy violation", "the server does not allow what was sent, or no longer allows the connection"],
  1009: ["message too big", "a message was larger than the endpoint accepts"],
  1010: ["mandatory extension", "the client needs an extension that the server did not choose"],
  1011: ["internal error", "the server met a condition that it did not expect"],
  1012: ["service restart", "the server restarts: connect again"],
  1013: ["try again later", "the server has too much to do"],
  1014: ["bad gateway", "a server behind this one gave no valid answer"],
  3000: ["unauthorized", "the credentials are missing or not valid"],
  3003: ["forbidden", "the client may not do this"],
  3008: ["timeout", "the other side took too long"],
  4401: ["credential ended", "the token has expired or was revoked: connect with a new one"],
};

// closeWords returns a close code and its reason as a sentence.
export function closeWords(code, reason) {
  const [name, meaning] = codes[code] ?? (code >= 4000 ? ["", "a code of the application"] : ["", "a code of a library or framework"]);
  return `${code}${name ? ` ${name}` : ""}: ${meaning}${reason ? `. Reason given: ${reason}` : ""}`;
}

// good reports whether a connection ended as planned.
export const good = (code) => code === 1000 || code === 1001 || code === 1005;

const count = new Intl.NumberFormat("en");

export const bytes = (n) => n === 1 ? "1 byte" : `${count.format(n)} bytes`;

// claims returns the times in a JWT, null if the token is not one. It proves nothing: the signature is for the server to check.
function claims(token) {
  try {
    const part = token.split(".")[1].replace(/-/g, "+").replace(/_/g, "/");
    return JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(part), (c) => c.charCodeAt(0))));
  } catch {
    return null;
  }
}

// tokenFault returns what this page can see is wrong with a token, "" if nothing.
export function tokenFault(token, now = Date.now()) {
  const c = claims(token);
  if (c === null || typeof c !== "object") return "";
  const at = (seconds) => new Date(seconds * 1000).toLocaleString();
  if (typeof c.exp === "number" && c.exp * 1000 <= now) return `The token expired at ${at(c.exp)}.`;
  if (typeof c.nbf === "number" && c.nbf * 1000 > now) return `The token is not valid before ${at(c.nbf)}.`;
  return "";
}

// ways returns how a page can show a credential at an endpoint, in words.
export function ways(endpoint) {
  const list = [];
  if (endpoint.token_prefixes || endpoint.kubernetes) list.push("a token among the subprotocols");
  for (const t of endpoint.tickets ?? []) list.push(`a ticket from ${t.path}`);
  return list.join(", or ");
}

const noWay = "Of its credentials a page can set none: browsers send no Authorization header with a WebSocket. A cookie or certificate of yours is sent by itself.";
const addWay = "use handfast dial with the credential, or add subprotocol to the from of its jwt method, or a ticket method, in the server's configuration";

// needs returns what to know about an endpoint before connecting.
export function needs(endpoint, carried) {
  const chosen = endpoint.subprotocols ?? [];
  if (endpoint.open) return "Open to everybody.";
  if (ways(endpoint) === "") return `Needs a credential. ${noWay}`;
  const warning = carried === "ticket" || chosen.length > 0 || !endpoint.token_prefixes && !endpoint.kubernetes || endpoint.tickets
    ? "" : " It has no subprotocols, so a browser will give up the connection: see docs/auth.md.";
  return `Needs a credential: ${ways(endpoint)}.${warning}`;
}

// refused returns a title, what happened and the next step for a handshake that the server did not admit.
function refused(o, { endpoint, token }) {
  const title = `Refused with ${o.status}`;
  const reason = o.reason ? `${o.reason[0].toUpperCase()}${o.reason.slice(1)}${/[.!?]$/.test(o.reason) ? "" : "."}` : "";
  const clause = o.clause ? ` (${o.clause})` : "";
  const wait = o.retry_after ? `try again in ${o.retry_after} s` : "try again in a few seconds";
  if (o.status === 401 && token === "") {
    const how = endpoint ? ways(endpoint) : "";
    return how || !endpoint
      ? [title, "This endpoint needs a credential, and the page sent none.", how ? `enter a token above; it takes ${how}` : "enter a token above"]
      : [title, `This endpoint needs a credential. ${noWay}`, addWay];
  }
  if (o.status === 401 && endpoint && ways(endpoint) === "") return [title, `The server did not find the token. ${noWay}`, addWay];
  if (o.status === 401) {
    const fault = tokenFault(token);
    return fault ? [title, fault, "use a new token"]
      : [title, "The server did not accept the token: it was sent in a way that the endpoint does not take, or its signature, issuer or audience is wrong, or it was revoked. For security the reply does not say which.",
        "the server's log says which; so does /handshakes on its admin listener"];
  }
  if (o.stage === "rules") return [title, "The server knows who you are, and the endpoint's rules do not allow this user to connect.", "use a token with what the rules ask for; the server's log names the rule"];
  if (o.status === 404) return [title, `${reason}`, o.hint || "choose an endpoint above"];
  if (o.status === 429 || o.status === 503) return [title, reason, wait];
  return [title, `${reason}${clause}`, o.hint || "the server's log says more"];
}

// failure explains why a WebSocket did not open. outcome is what the server answers: undefined when it did not answer, null when it has no
// record of the handshake.
export function failure(outcome, attempt) {
  const { url, endpoint, offered } = attempt;
  if (outcome === undefined) return ["No answer", "The server does not answer: it has stopped, or the network is down.", "start the server, then connect again"];
  if (outcome === null) {
    return ["No record", "The server has no record of this handshake: it did not arrive, or ended before its request was read. A proxy in front may have answered it.",
      `handfast explain ${url} shows each step`];
  }
  if (outcome.status !== 101) return refused(outcome, attempt);
  if (offered.length > 0) {
    const has = endpoint?.subprotocols?.length ? `it has ${endpoint.subprotocols.join(", ")}` : "it has none of its own";
    return ["Given up by the browser", `The server admitted the connection and chose none of the subprotocols that were offered; a browser then closes it (RFC 6455 §4.1). Of subprotocols, ${has}.`,
      endpoint?.subprotocols?.length ? "offer one that the endpoint has" : "add one to the endpoint's subprotocols in the configuration, and offer it here"];
  }
  return ["Lost on the way", "The server admitted the connection, and its answer did not reach the browser: a proxy in between may not pass upgrades on.", `handfast explain ${url} shows each step`];
}
