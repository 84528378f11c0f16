package natsengine

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/handfast/handfast/internal/bounded"
)

// serverEnv has the test binary be a NATS server: a real process, which can be stopped and killed.
const serverEnv = "HANDFAST_TEST_NATS_SERVER"

func TestMain(m *testing.M) {
	if conf := os.Getenv(serverEnv); conf != "" {
		serve(conf)
		return
	}
	os.Exit(bounded.Main(m))
}

// external is how such a server works.
type external struct {
	Dir  string
	Port int
	Sync bool
}

func serve(conf string) {
	var x external
	if err := json.Unmarshal([]byte(conf), &x); err != nil {
		panic(err)
	}
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: x.Port, JetStream: true, StoreDir: x.Dir, NoSigs: true, NoLog: true, SyncAlways: x.Sync,
		MaxPayload: maxPayload, JetStreamMaxStore: 1 << 40,
	})
	if err != nil {
		panic(err)
	}
	s.Start()
	s.WaitForShutdown()
}
