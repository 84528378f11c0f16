// Socket.IO as a server: node socketio-server.mjs. It listens on the port that the environment variable PORT names, or on a free one,
// and prints it. It ends when its standard input does.
import http from "node:http";
import { Server } from "socket.io";

const server = http.createServer();
const io = new Server(server);

io.on("connection", (socket) => {
  socket.on("where", (answer) => answer(server.address().port));
  socket.on("echo", (data, answer) => answer(data));
});

server.listen(Number(process.env.PORT ?? 0), "127.0.0.1", () => console.log(JSON.stringify({ port: server.address().port })));
process.stdin.resume();
process.stdin.on("end", () => process.exit());
