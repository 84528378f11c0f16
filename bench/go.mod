module github.com/handfast/handfast/bench

go 1.26

require github.com/handfast/handfast/websocket v0.0.0

replace github.com/handfast/handfast/websocket => ../websocket
