// What the page in the browser runs. Its base is in the fragment of its own address.
import { connect, run } from "./standard-client.mjs";

const base = decodeURIComponent(location.hash.slice(1));
if (location.pathname === "/stranger") {
  try {
    await connect(base + "/echo");
    console.log(JSON.stringify({ check: "stranger", text: "connected" }));
  } catch (error) {
    console.log(JSON.stringify({ check: "stranger", text: error.message }));
  }
  console.log(JSON.stringify({ check: "end" }));
} else {
  await run(base);
}
