# The paths are those of python.py.
require "faye/websocket"
Faye::WebSocket.load_adapter("thin") if ENV["SERVER"] == "thin"

run(lambda do |env|
  path, query = env["PATH_INFO"], env["QUERY_STRING"]
  plain = { "content-type" => "text/plain" }
  return [200, { "content-type" => "text/html" }, ["<h1>Welcome to the shop</h1>"]] if path == "/page"
  return [403, plain, ["Forbidden"]] if path == "/origin" && env["HTTP_ORIGIN"] != "https://app.example"
  return [401, plain, ["Unauthorized"]] if path == "/token" && query != "token=s3cret"
  raise KeyError, "room" if path == "/crash"
  return [404, plain, ["Not Found"]] unless %w[/ws /late /token /origin /sub].include?(path) && Faye::WebSocket.websocket?(env)

  ws = Faye::WebSocket.new(env, path == "/sub" ? ["chat.v1"] : nil)
  ws.on(:open) { ws.close(4401, "token expired") } if path == "/late"
  ws.on(:message) { |event| ws.send(event.data) }
  ws.rack_response
end)
