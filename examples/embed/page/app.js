import { Channels } from "./channels.js";

const $ = (id) => document.getElementById(id);

function show({ data: order }) {
  const row = document.getElementById(`order-${order.number}`) ?? $("orders").appendChild(document.createElement("tr"));
  row.id = `order-${order.number}`;
  row.replaceChildren(...[order.number, order.item, order.state].map((value) => {
    const cell = document.createElement("td");
    cell.textContent = value;
    return cell;
  }));
  if (order.state === "sent") return;
  const send = document.createElement("button");
  send.textContent = "Send";
  send.onclick = () => fetch(`/orders/${order.number}/sent`, { method: "POST" });
  row.appendChild(document.createElement("td")).append(send);
}

// This shows the current orders, and each later change.
async function follow(name) {
  const url = new URL("/live", location.href);
  url.protocol = url.protocol.replace("http", "ws");
  const channels = new Channels(url.href);
  channels.addEventListener("state", () => { $("state").textContent = channels.state; });
  const channel = `orders-${name}`;
  const { messages, position } = await channels.snapshot(channel, { limit: 1000 });
  messages.forEach(show);
  await channels.subscribe(channel, { since: position, onMessage: show }).ready;
}

$("login").onsubmit = async (event) => {
  event.preventDefault();
  const name = $("name").value;
  await fetch("/login", { method: "POST", body: new URLSearchParams({ name }) });
  $("login").hidden = true;
  $("order").hidden = false;
  await follow(name);
};

$("order").onsubmit = (event) => {
  event.preventDefault();
  fetch("/orders", { method: "POST", body: new URLSearchParams({ item: $("item").value }) });
  $("order").reset();
};
