// The page of the admin listener. Everything that it shows is text: names of channels and users are those of strangers.
const $ = id => document.getElementById(id);
const limit = 100;
let secret = "";

// ask returns what the admin listener says, and shows why when it does not.
async function ask(path, query = {}) {
	const asked = new URLSearchParams(Object.entries(query).filter(([, v]) => v !== ""));
	const answer = await fetch(`${path}?${asked}`, secret ? { headers: { Authorization: `Bearer ${secret}` } } : {});
	$("token").hidden = answer.status !== 401;
	$("problem").hidden = answer.ok;
	if (answer.ok) return answer.json();
	$("problem").textContent = (await answer.text()).trim();
	return null;
}

// row adds a row to a table. A cell is a text, or a node.
function row(table, ...cells) {
	const tr = $(table).insertRow();
	for (const cell of cells) tr.insertCell().append(cell);
}

// button shows one that continues a list, if there is more.
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

async function all() {
	const info = await ask("/info");
	if (!info) return;
	$("info").textContent = `Version ${info.version}, engine ${info.engine}, ${info.ready ? "ready" : `not ready: ${info.reason}`}. ` +
		`${info.connections} connections and ${info.subscriptions} subscriptions of ${info.channels} channels on this node.`;
	$("app").replaceChildren(...info.apps.map(id => new Option(id)));
	const list = await ask("/connections", { limit });
	$("connections").replaceChildren();
	for (const c of list?.connections ?? []) row("connections", c.user, c.endpoint, c.addr, c.opened, c.messages_in, c.messages_out);
	if (info.apps.length > 0) await channels();
}

$("find").onsubmit = e => { e.preventDefault(); channels(); };
$("app").onchange = () => channels();
$("token").onsubmit = e => { e.preventDefault(); secret = $("secret").value; all(); };
all();
