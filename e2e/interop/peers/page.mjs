// The page in the browser runs this. The base URL is in the fragment of its address.
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
