// Shows the response of /balance: a table of servers for each endpoint with a balancer. Everything is inserted as text, into
// copies of the page's templates.

// The symbol of each state, for readers who cannot distinguish the colors.
const marks = { ready: "●", full: "■", draining: "◐", ejected: "▲", down: "✕", removed: "○" };

function copy(template) {
	return document.getElementById(template).content.firstElementChild.cloneNode(true);
}

// put sets a text only if it has changed, so that a selection in it is kept.
function put(e, text) {
	if (e.textContent !== String(text)) e.textContent = text;
}

function rate(n) {
	return n > 0 && n < 10 ? n.toFixed(1) : String(Math.round(n));
}

// size formats a number of bytes.
function size(n) {
	for (const unit of ["B", "kB", "MB"]) {
		if (n < 1000) return `${unit === "B" ? Math.round(n) : rate(n)} ${unit}`;
		n /= 1000;
	}
	return `${rate(n)} GB`;
}

// shares returns how many of the connections each server would have if they were distributed by weight; servers that get no
// new connections have none.
function shares(servers) {
	const part = s => s.state === "ready" || s.state === "full" ? s.weight * s.share : 0;
	const parts = servers.reduce((sum, s) => sum + part(s), 0);
	const live = servers.reduce((sum, s) => sum + s.live, 0);
	return servers.map(s => parts > 0 ? live * part(s) / parts : 0);
}

// draw draws a bar: a part of a whole, with a line at the share.
function draw(bar, part, share, whole) {
	const [, filled, line] = bar.children;
	filled.setAttribute("width", Math.min(100, 100 * part / whole));
	line.setAttribute("width", share > 0 ? 1 : 0);
	line.setAttribute("x", Math.min(99, 100 * share / whole));
}

// drained describes the progress of a server's drain, "" if there is none.
function drained(s) {
	const from = s.drain_from ?? 0;
	if (!s.drained && !s.leaving && s.state !== "removed") return "";
	if (s.live === 0) return "empty";
	return from > 0 ? `${Math.max(0, from - s.live)} of ${from} connections have left` : "";
}

// fill shows a server in its row. was is the server's state some seconds ago; most is the value of a full bar.
function fill(row, s, was, seconds, share, most) {
	const [id, state, live, due, ...rates] = row.cells;
	const notes = [s.why, drained(s), s.failures > 0 ? `failures in a row: ${s.failures}` : "", s.state !== "down" && s.probed ? `last check: ${s.probed}` : ""];
	row.className = s.state;
	put(id, s.id);
	put(state.children[0], marks[s.state] ?? "?");
	put(state.children[1], s.state);
	put(state.children[2], notes.filter(n => n).join("; "));
	put(live.children[0], s.capacity > 0 ? `${s.live} of at most ${s.capacity}` : s.live);
	draw(live.children[1], s.live, share, most);
	put(due, Math.round(share));
	for (const [i, field] of ["opened", "failed", "from_clients", "from_server"].entries()) {
		const n = was && seconds > 0 ? Math.max(0, s[field] - was[field]) / seconds : 0;
		put(rates[i], i < 2 ? rate(n) : size(n));
	}
	put(rates[4], s.failed);
}

// handshakes describes how many clients are admitted.
function handshakes(e) {
	const h = e.handshakes;
	return `Handshakes: ${h.underway} in progress, ${e.waiting} waiting for a server with free capacity. ` +
		(h.limited ? `Limited to ${Math.round(h.rate)} per second; ` : "All are admitted; ") + `${h.refused} were refused${h.refused > 0 ? `, ${h.refused_resuming} of them resuming a session` : ""}.`;
}

// show shows the state of the balancers inside an element. before is the state that was shown last, some seconds ago. It
// returns the changes of servers since then.
export function show(below, now, before, seconds) {
	const events = [];
	const sections = new Map([...below.children].map(e => [e.dataset.endpoint, e]));
	for (const e of now.endpoints) {
		let section = sections.get(e.endpoint);
		if (!section) {
			section = below.appendChild(copy("endpoint"));
			section.dataset.endpoint = e.endpoint;
			section.querySelector("caption").textContent = `Endpoint ${e.endpoint}`;
			section.querySelector(".wide").ariaLabel = `Servers of endpoint ${e.endpoint}`;
		}
		sections.delete(e.endpoint);
		const body = section.querySelector("tbody"), last = before?.endpoints.find(b => b.endpoint === e.endpoint);
		const share = shares(e.servers), most = Math.max(1, ...share, ...e.servers.map(s => s.live));
		while (body.rows.length > e.servers.length) body.deleteRow(-1);
		for (const [i, s] of e.servers.entries()) {
			const was = last?.servers.find(b => b.id === s.id);
			fill(body.rows[i] ?? body.appendChild(copy("server")), s, was, seconds, share[i], most);
			if (last && was?.state !== s.state) events.push(`${s.id} is ${s.state}`);
			else if (was?.live > 0 && s.live === 0 && drained(s)) events.push(`${s.id} is empty`);
		}
		for (const b of last?.servers ?? []) if (!e.servers.some(s => s.id === b.id)) events.push(`${b.id} was removed`);
		put(section.querySelector(".handshakes"), handshakes(e));
	}
	for (const e of sections.values()) e.remove();
	return events;
}
