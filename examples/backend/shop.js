// The application: a shop with a login, which knows handfast only through the SDK. It publishes what happens to an order in the
// channel of its customer, and decides who may subscribe to which channel.
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import Pusher from "pusher";

const { PORT, PUSHER_APP_ID, PUSHER_KEY, PUSHER_SECRET, PUSHER_HOST: host, PUSHER_PORT: port } = process.env;
const pusher = new Pusher({ appId: PUSHER_APP_ID, key: PUSHER_KEY, secret: PUSHER_SECRET, host, port, useTLS: false });

const sessions = new Map(); // the names by cookie
const orders = [];

const file = (path) => readFileSync(new URL(path, import.meta.url));
const files = {
  "/": ["text/html; charset=utf-8", file("page/index.html")],
  "/page.js": ["text/javascript; charset=utf-8", file("page/page.js")],
  "/pusher.js": ["text/javascript; charset=utf-8", file("node_modules/pusher-js/dist/web/pusher.min.js")],
};

// A refused request throws one of these.
class Refusal extends Error {
  constructor(status, text) {
    super(text);
    this.status = status;
  }
}

const routes = {
  // login stands for a real one: it accepts every name.
  "POST /login": (user, form, response) => {
    const name = form.get("name") ?? "";
    if (!/^\w{1,20}$/.test(name)) throw new Refusal(400, "a name of up to 20 letters, digits and underscores, please");
    if (sessions.size >= 10_000) throw new Refusal(503, "too many sessions");
    const session = randomUUID();
    sessions.set(session, name);
    response.setHeader("Set-Cookie", `session=${session}; HttpOnly; SameSite=Lax; Path=/`);
    return { name, key: PUSHER_KEY, host, port: Number(port) };
  },

  // The SDK in the page asks before it subscribes to a private or presence channel.
  "POST /pusher/auth": (user, form) => {
    const socket = form.get("socket_id") ?? "", channel = form.get("channel_name");
    if (!/^\d+\.\d+$/.test(socket)) throw new Refusal(400, "not a socket ID");
    switch (channel) {
      case `private-orders-${user}`:
        return pusher.authorizeChannel(socket, channel);
      case "presence-shop":
        return pusher.authorizeChannel(socket, channel, { user_id: user });
    }
    throw new Refusal(403, "this channel is not yours");
  },

  "GET /orders": (user) => orders.filter((order) => order.customer === user),

  "POST /orders": async (user, form) => {
    if (orders.length >= 10_000) throw new Refusal(503, "the shop is full");
    const order = { number: orders.length + 1, customer: user, item: (form.get("item") ?? "").slice(0, 100), state: "ordered" };
    orders.push(order);
    await changed(order);
    return order;
  },

  "POST /sent": async (user, form) => {
    const order = orders[Number(form.get("number")) - 1];
    if (order?.customer !== user) throw new Refusal(404, "there is no such order");
    order.state = "sent";
    await changed(order);
    return order;
  },
};

const changed = (order) => pusher.trigger(`private-orders-${order.customer}`, "order", order);

async function body(request) {
  let text = "";
  for await (const chunk of request.setEncoding("utf8")) {
    text += chunk;
    if (text.length > 10_000) throw new Refusal(413, "too long");
  }
  return new URLSearchParams(text);
}

async function answer(request, response) {
  const { pathname } = new URL(request.url, "http://shop");
  if (request.method === "GET" && Object.hasOwn(files, pathname)) {
    const [type, content] = files[pathname];
    return response.setHeader("Content-Type", type).end(content);
  }
  const route = `${request.method} ${pathname}`;
  if (!Object.hasOwn(routes, route)) throw new Refusal(404, "not found");
  const user = sessions.get(/(?:^|; )session=([^;]+)/.exec(request.headers.cookie ?? "")?.[1]);
  if (!user && route !== "POST /login") throw new Refusal(401, "log in first");
  const result = await routes[route](user, await body(request), response);
  response.setHeader("Content-Type", "application/json").end(JSON.stringify(result));
}

createServer(async (request, response) => {
  try {
    await answer(request, response);
  } catch (error) {
    if (!(error instanceof Refusal)) console.error(error.message);
    response.writeHead(error.status ?? 500, { "Content-Type": "text/plain" });
    response.end(error instanceof Refusal ? error.message : "the shop has a problem");
  }
}).listen(Number(PORT), "127.0.0.1", () => console.log(`backend is serving http://127.0.0.1:${PORT}/`));
