module github.com/handfast/handfast/websocket

go 1.26
