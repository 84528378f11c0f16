import { createDeflateRaw, constants } from 'node:zlib';

let input = '';
for await (const chunk of process.stdin) input += chunk;
const messages = JSON.parse(input).map((m) => Buffer.from(m, 'base64'));
const sizes = [];
for (let windowBits = +process.argv[1]; windowBits <= +process.argv[2]; windowBits++) {
  const z = createDeflateRaw({ windowBits });
  let size = 0;
  z.on('data', (b) => { size += b.length; });
  for (const m of messages) {
    z.write(m);
    await new Promise((done) => z.flush(constants.Z_SYNC_FLUSH, done));
    size -= 4; // 00 00 ff ff, which RFC 7692 leaves out
  }
  sizes.push(size);
}
console.log(JSON.stringify(sizes));
