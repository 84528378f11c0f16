// The page of the admin listener. Everything is shown as text, never as markup, because clients choose the names of channels
// and users.
import { show } from "/console/balance.js";

const $ = id => document.getElementById(id);
const limit = 100;
const patience = 10000; // ms
let secret = "";

// ask returns the response of the admin listener. If the request fails, it shows the reason in the paragraph whose ID is
// problem.
async function ask(path, query = {}, problem = "problem") {
	const asked = new URLSearchParams(Object.entries(query).filter(([, v]) => v !== ""));
	const answer = await fetch(`${path}?${asked}`, {
		headers: secret ? { Authorization: `Bearer ${secret}` } : {}, signal: AbortSignal.timeout(patience),
	});
	$("token").hidden = answer.status !== 401;
	$(problem).hidden = answer.ok;
	if (answer.ok) return answer.json();
	$(problem).textContent = (await answer.text()).trim();
	return null;
}

// row adds a row to a table. A cell is a text, or a node.
function row(table, ...cells) {
	const tr = $(table).insertRow();
	for (const cell of cells) tr.insertCell().append(cell);
}

// button shows the button that continues a list, if the list is longer.
function button(id, more, next) {
	$(id).hidden = !more;
	$(id).onclick = next;
}

async function channels(after = "") {
	const app = $("app").value, prefix = $("prefix").value;
	const page = await ask(`/channels/${encodeURIComponent(app)}`, { prefix, after, limit });
	if (!page || app !== $("app").value || prefix !== $("prefix").value) return;
	if (!after) $("channels").replaceChildren();
	for (const c of page.channels) {
		const name = document.createElement("button");
		name.textContent = c.channel;
		name.onclick = () => channel(app, c.channel);
		row("channels", name, c.subscribers);
	}
	button("more", page.after, () => channels(page.after));
}

async function channel(app, name, cursor = "") {
	const page = await ask(`/channels/${encodeURIComponent(app)}/${encodeURIComponent(name)}`, { cursor, limit });
	if (!page) return;
	$("one").hidden = false;
	$("name").textContent = name;
	$("position").textContent = `Last message: offset ${page.offset}. Messages kept: ${page.history}${page.history_more ? " or more" : ""}. Members: ${page.users}.`;
	if (!cursor) $("members").replaceChildren();
	for (const m of page.members) row("members", m.user ?? "", m.client, typeof m.data === "string" ? m.data : JSON.stringify(m.data) ?? "");
	button("others", page.cursor, () => channel(app, name, page.cursor));
}

// balance shows the servers behind the balancers, again and again as long as the page is visible and the server responds.
const every = 2000; // ms
let state = null, at = 0, next = 0, asking = false;
async function balance() {
	if (asking || document.hidden) return;
	asking = true;
	clearTimeout(next);
	const now = await ask("/balance", {}, "late").catch(() => {
		$("late").hidden = false;
		$("late").textContent = "The server does not respond. The data on this page may be out of date.";
	});
	asking = false;
	if (!$("token").hidden) return;
	next = setTimeout(balance, every);
	if (!now) return;
	const seconds = (performance.now() - at) / 1000;
	$("balance").hidden = now.endpoints.length === 0;
	for (const event of show($("servers"), now, state, seconds)) $("happened").textContent = `${new Date().toLocaleTimeString()}: ${event}`;
	state = now;
	at = performance.now();
}

async function all() {
	const info = await ask("/info");
	if (!info) return;
	$("info").textContent = `Version ${info.version}, engine ${info.engine}, ${info.ready ? "ready" : `not ready: ${info.reason}`}. ` +
		`${info.connections} connections and ${info.subscriptions} subscriptions of ${info.channels} channels on this node.`;
	$("app").replaceChildren(...info.apps.map(id => new Option(id)));
	const list = await ask("/connections", { limit });
	$("connections").replaceChildren();
	for (const c of list?.connections ?? []) row("connections", c.user, c.endpoint, c.addr, c.opened, c.messages_in, c.messages_out);
	$("all").hidden = info.apps.length === 0;
	if (info.apps.length > 0) await channels();
	await balance();
}

$("find").onsubmit = e => { e.preventDefault(); channels(); };
$("app").onchange = () => channels();
$("token").onsubmit = e => { e.preventDefault(); secret = $("secret").value; all(); };
document.onvisibilitychange = () => state && balance();
all();
