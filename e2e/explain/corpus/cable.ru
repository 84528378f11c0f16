require "logger"
require "action_cable"

class Connection < ActionCable::Connection::Base
  def connect
    reject_unauthorized_connection if request.params["token"] != "s3cret"
  end
end

ActionCable.server.config.tap do |c|
  c.logger = Logger.new(nil)
  c.cable = { "adapter" => "async" }
  c.connection_class = -> { Connection }
  c.allowed_request_origins = ["https://app.example"]
end
map("/cable") { run ActionCable.server }
