require "em-websocket"

options = { host: "127.0.0.1", port: ARGV[0].to_i }
options.merge!(secure: true, tls_options: { private_key_file: ARGV[1], cert_chain_file: ARGV[1] }) if ARGV[1]
EM.run do
  EM::WebSocket.run(**options) do |ws|
    ws.onopen do |handshake|
      ws.close(4401, "token expired") if handshake.path == "/late"
      raise KeyError, "room" if handshake.path == "/broken"
    end
    ws.onmessage { |message| ws.send(message) }
    ws.onerror { |e| warn e }
  end
end
