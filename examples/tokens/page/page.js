// The question and the name of its answer are in the address, so that a reload, or another window, finds both again.
const $ = id => document.getElementById(id);
let offset = "-1"; // the next byte to read follows this offset
let source;

// ask makes the model start, or continue. Asking again changes nothing.
const ask = ({ name, question }) =>
	fetch(`/ask/${encodeURIComponent(name)}`, { method: "POST", body: new URLSearchParams({ question }) });

// follow shows the answer from the offset on, and continues after every interruption.
function follow(asked) {
	const url = `/answers/${encodeURIComponent(asked.name)}`;
	source = new EventSource(`${url}?offset=${offset}&live=sse`);
	const mine = source;
	mine.addEventListener("data", e => { $("answer").textContent += e.data; });
	mine.addEventListener("control", e => {
		const control = JSON.parse(e.data);
		offset = control.streamNextOffset;
		$("state").textContent = control.streamClosed ? "done" : "writing";
		if (control.streamClosed) mine.close();
	});
	mine.onerror = () => {
		mine.close();
		$("state").textContent = "connecting";
		setTimeout(() => { if (mine === source) again(asked); }, 500);
	};
}

// again asks again: after a restart the server may have lost the answer, which then starts over.
async function again(asked) {
	try {
		await ask(asked);
		const probe = await fetch(`/answers/${encodeURIComponent(asked.name)}?offset=${offset}`);
		if (!probe.ok) {
			offset = "-1";
			$("answer").textContent = "";
		}
	} catch {
		// The server is not up yet. The EventSource fails, too, and its onerror tries again.
	}
	follow(asked);
}

$("ask").onsubmit = e => {
	e.preventDefault();
	location.hash = new URLSearchParams({ name: crypto.randomUUID(), question: $("question").value });
};

function start() {
	const q = new URLSearchParams(location.hash.slice(1));
	if (!q.get("name")) return;
	source?.close();
	offset = "-1";
	$("answer").textContent = "";
	$("question").value = q.get("question");
	again({ name: q.get("name"), question: q.get("question") });
}
window.onhashchange = start;
start();
