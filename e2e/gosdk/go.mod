module github.com/handfast/handfast/e2e/gosdk

go 1.26.0

require (
	github.com/centrifugal/centrifuge-go v0.12.1
	github.com/handfast/handfast v0.0.0
	go.uber.org/goleak v1.3.0
)

require (
	github.com/centrifugal/protocol v0.23.1 // indirect
	github.com/gorilla/websocket v1.5.3 // indirect
	github.com/jpillora/backoff v1.0.0 // indirect
	github.com/shadowspore/fossil-delta v0.0.0-20241213113458-1d797d70cbe3 // indirect
	google.golang.org/protobuf v1.36.12 // indirect
)
