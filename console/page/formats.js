// Messages in forms that people can write and read: JSON, and bytes as hexadecimal digits.

// parseHex parses bytes: "48 65 6c", "0x48,0x65" or "48:65:6c". It throws an Error that explains what is wrong and where.
export function parseHex(text) {
  const digits = text.replace(/0x/gi, "").replace(/[\s,:]/g, "");
  const wrong = digits.search(/[^0-9a-f]/i);
  if (wrong >= 0) throw new Error(`"${String.fromCodePoint(digits.codePointAt(wrong))}" is not a hexadecimal digit`);
  if (digits.length % 2 !== 0) throw new Error(`${digits.length} digits: each byte needs two`);
  return Uint8Array.from(digits.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

export const hex = (data) => Array.from(data, (b) => b.toString(16).padStart(2, "0")).join(" ");

const shown = 512; // bytes
const perLine = 8;

// dump formats bytes as lines of hexadecimal digits and the corresponding ASCII characters.
export function dump(data) {
  const lines = [];
  for (let i = 0; i < Math.min(data.length, shown); i += perLine) {
    const part = data.subarray(i, Math.min(i + perLine, shown));
    lines.push(`${hex(part).padEnd(3 * Math.min(perLine, data.length) - 1)}  ${Array.from(part, (b) => b >= 32 && b < 127 ? String.fromCharCode(b) : ".").join("")}`);
  }
  if (data.length > shown) lines.push("…");
  return lines.join("\n");
}

// checkJSON throws an Error that explains what is wrong if a text is not valid JSON.
export function checkJSON(text) {
  try {
    JSON.parse(text);
  } catch (error) {
    throw new Error(`not valid JSON: ${error.message.replace(/ in JSON| is not valid JSON/g, "")}`);
  }
}

// indentJSON adds line breaks to valid JSON. It does not change values: parsing and printing them would change large numbers.
export function indentJSON(text) {
  const tokens = text.match(/"(?:[^"\\]|\\.)*"|[[\]{},:]|[^\s[\]{},:"]+/g) ?? [];
  let out = "";
  let depth = 0;
  const line = () => `\n${"  ".repeat(depth)}`;
  tokens.forEach((token, i) => {
    if (token === "{" || token === "[") {
      depth++;
      out += token;
      if (!/[\]}]/.test(tokens[i + 1]?.[0])) out += line();
    } else if (token === "}" || token === "]") {
      depth--;
      out += /[[{]/.test(tokens[i - 1]?.[0]) ? token : line() + token;
    } else if (token === ",") {
      out += token + line();
    } else {
      out += token === ":" ? ": " : token;
    }
  });
  return out;
}

// isStructure reports whether a text is a JSON object or array.
export function isStructure(text) {
  if (!/^\s*[[{]/.test(text)) return false;
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
