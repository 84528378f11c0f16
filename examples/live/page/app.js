import { Channels } from "./channels.js";

const $ = (id) => document.getElementById(id);
const kept = 200; // the number of prices in a chart
const charts = new Map();
let updates = 0;
let delay = 0;

function chart(stock) {
  const figure = document.createElement("figure");
  const caption = document.createElement("figcaption");
  const name = document.createElement("span");
  const value = document.createElement("b");
  const canvas = document.createElement("canvas");
  name.textContent = stock;
  caption.append(name, value);
  figure.append(caption, canvas);
  const after = [...charts.keys()].filter((other) => other < stock).sort().pop();
  if (after === undefined) $("stocks").prepend(figure);
  else charts.get(after).figure.after(figure);
  const made = { figure, value, canvas, prices: [], changed: true };
  charts.set(stock, made);
  return made;
}

function take(message) {
  const { stock, price } = message.data;
  const c = charts.get(stock) ?? chart(stock);
  c.prices.push(price);
  if (c.prices.length > kept) c.prices.shift();
  c.changed = true;
  updates++;
  delay = Date.now() - new Date(message.time).getTime();
}

function draw({ canvas, value, prices }) {
  value.textContent = prices.at(-1).toFixed(2);
  const width = canvas.width = canvas.clientWidth * devicePixelRatio;
  const height = canvas.height = canvas.clientHeight * devicePixelRatio;
  const low = Math.min(...prices);
  const high = Math.max(...prices, low + 0.01);
  const line = canvas.getContext("2d");
  line.strokeStyle = prices.at(-1) >= prices[0] ? "#2a9d4f" : "#d14";
  line.lineWidth = devicePixelRatio;
  line.beginPath();
  prices.forEach((price, i) => line.lineTo(i * width / (kept - 1), height - (price - low) / (high - low) * height));
  line.stroke();
}

function frame() {
  for (const c of charts.values()) {
    if (!c.changed) continue;
    c.changed = false;
    draw(c);
  }
  requestAnimationFrame(frame);
}

setInterval(() => {
  $("rate").textContent = updates;
  $("delay").textContent = delay;
  updates = 0;
}, 1000);

const url = new URL("/channels", location.href);
url.protocol = url.protocol.replace("http", "ws");
const channels = new Channels(url.href);
const { messages, position } = await channels.snapshot("prices", { limit: 100 });
messages.forEach(take);
channels.subscribe("prices", { since: position, onMessage: take });
requestAnimationFrame(frame);
