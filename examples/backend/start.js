// This command runs the whole example: it installs the SDKs if they are missing, starts handfast with a new secret, then the shop.
import { spawn, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));
const clone = join(here, "..", "..");
const port = process.env.PORT || "9206";
const server = `${process.env.PUSHER_HOST || "127.0.0.1"}:${process.env.PUSHER_PORT || "9207"}`;

function run(command, args, cwd) {
  const { error, status } = spawnSync(command, args, { cwd, stdio: "inherit" });
  if (error || status !== 0) {
    console.error(`${command} ${args.join(" ")}: ${error?.message ?? `exit status ${status}`}`);
    process.exit(1);
  }
}

if (!existsSync(join(here, "node_modules", "pusher-js"))) run("npm", ["ci"], here);
const built = mkdtempSync(join(tmpdir(), "handfast-backend-"));
process.on("exit", () => rmSync(built, { recursive: true, force: true }));
let handfast = process.env.HANDFAST;
if (!handfast) {
  handfast = join(built, "handfast");
  run("go", ["build", "-o", handfast, "./cmd/handfast"], clone);
}

const app = { id: "shop", key: "shop-key", secret: randomBytes(32).toString("hex") };
const args = ["serve", "--config", join(here, "handfast.yaml"), "--listen", server, "--tls", "off"];
for (const host of ["127.0.0.1", "localhost"]) args.push("--origin", `http://${host}:${port}`);
const child = spawn(handfast, args, { env: { ...process.env, HANDFAST_APPS: JSON.stringify([app]) }, stdio: ["ignore", "ignore", "inherit"] });
child.on("error", (error) => { console.error(error.message); process.exit(1); });
child.on("exit", (code) => process.exit(code ?? 1)); // the shop ends when handfast does
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => child.kill("SIGTERM"));
for (let tries = 0; !(await fetch(`http://${server}/up`).then((r) => r.ok, () => false)); tries++) {
  if (tries === 300) {
    console.error(`handfast does not answer at ${server}`);
    child.kill();
    process.exit(1);
  }
  await sleep(100);
}

const [PUSHER_HOST, PUSHER_PORT] = server.split(":");
Object.assign(process.env, { PORT: port, PUSHER_APP_ID: app.id, PUSHER_KEY: app.key, PUSHER_SECRET: app.secret, PUSHER_HOST, PUSHER_PORT });
await import("./shop.js");
