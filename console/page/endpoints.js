// The server's public list of its endpoints, which is fetched once.

async function list() {
  try {
    const reply = await fetch("/console/endpoints");
    return reply.ok ? (await reply.json()).endpoints : [];
  } catch {
    return [];
  }
}

export const endpoints = list();

// endpointAt returns the endpoint for a path, undefined if there is none. As on the server, the most specific one is chosen.
export function endpointAt(all, path) {
  const fits = (pattern) => {
    const want = pattern.split("/");
    const have = path.split("/");
    const open = pattern.endsWith("/") || pattern.endsWith("...}");
    if (want.at(-1).endsWith("...}")) want[want.length - 1] = "";
    return (open ? have.length >= want.length : have.length === want.length) && want.every((part, i) =>
      part === have[i] || (part === "" && i === want.length - 1 && open) || (/^\{[^$.]+\}$/.test(part) && have[i] !== ""));
  };
  const rank = (pattern) => [pattern.includes("{") || pattern.endsWith("/") ? 1 : 0, -pattern.length];
  return all.filter((e) => fits(e.path)).sort((a, b) => {
    const [x, y] = [rank(a.path), rank(b.path)];
    return x[0] - y[0] || x[1] - y[1];
  })[0];
}
