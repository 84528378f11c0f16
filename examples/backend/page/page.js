const $ = (id) => document.getElementById(id);
const post = (path, values) => fetch(path, { method: "POST", body: new URLSearchParams(values) });

function show(order) {
  const row = $(`order-${order.number}`) ?? $("orders").appendChild(document.createElement("tr"));
  if (row.dataset.state === "sent") return; // this state is older than the one shown
  row.id = `order-${order.number}`;
  row.dataset.state = order.state;
  row.replaceChildren(...[order.number, order.item, order.state, ""].map((value) => {
    const cell = document.createElement("td");
    cell.textContent = value;
    return cell;
  }));
  if (order.state === "sent") return;
  const send = document.createElement("button");
  send.textContent = "Send";
  send.onclick = () => post("/sent", { number: order.number });
  row.lastChild.append(send);
}

// follow shows who is there, the current orders, and each later change.
function follow({ name, key, host, port }) {
  const pusher = new Pusher(key, {
    wsHost: host, wsPort: port, forceTLS: false, enabledTransports: ["ws"], cluster: "", channelAuthorization: { endpoint: "/pusher/auth" },
  });
  pusher.connection.bind("state_change", ({ current }) => { $("state").textContent = current; });
  const channel = pusher.subscribe(`private-orders-${name}`);
  channel.bind("order", show);
  channel.bind("pusher:subscription_succeeded", async () => { // this runs after each reconnection, too
    (await (await fetch("/orders")).json()).forEach(show);
  });
  const shop = pusher.subscribe("presence-shop");
  const members = () => {
    const all = [];
    shop.members.each(({ id }) => all.push(id));
    $("members").textContent = `In the shop: ${all.sort().join(", ")}`;
  };
  for (const event of ["subscription_succeeded", "member_added", "member_removed"]) shop.bind(`pusher:${event}`, members);
  return pusher;
}

$("login").onsubmit = async (event) => {
  event.preventDefault();
  const response = await post("/login", { name: $("name").value });
  if (!response.ok) {
    $("state").textContent = await response.text();
    return;
  }
  $("login").hidden = true;
  $("order").hidden = false;
  window.pusher = follow(await response.json()); // this makes it usable from the browser's console
};

$("order").onsubmit = (event) => {
  event.preventDefault();
  post("/orders", { item: $("item").value });
  $("order").reset();
};
