package chromium

import (
	"encoding/json"
	"fmt"
	"os"
)

// message is a message from the browser: a response if ID is set, or an event if Method is set.
type message struct {
	ID     int             `json:"id"`
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
	Result json.RawMessage `json:"result"`
	Error  *struct {
		Message string `json:"message"`
	} `json:"error"`
}

// exception is an exception thrown by a script.
type exception struct {
	Text      string
	Exception struct{ Description string }
}

func (e *exception) String() string { return e.Text + " " + e.Exception.Description }

// call sends a command, waits for the response, and decodes it to into.
func (b *Browser) call(method string, params map[string]any, into any) {
	b.t.Helper()
	if err := b.send(method, params); err != nil {
		b.t.Fatalf("%s: %v", method, err)
	}
	for {
		m := b.receive()
		if m.ID != b.calls {
			b.handle(m)
			continue
		}
		if m.Error != nil {
			b.t.Fatalf("%s: %s", method, m.Error.Message)
		}
		if into != nil {
			b.unmarshal(m.Result, into)
		}
		return
	}
}

func (b *Browser) send(method string, params map[string]any) error {
	b.calls++
	command := map[string]any{"id": b.calls, "method": method}
	if params != nil {
		command["params"] = params
	}
	if b.session != "" {
		command["sessionId"] = b.session
	}
	j, err := json.Marshal(command)
	if err != nil {
		return err
	}
	_, err = b.commands.Write(append(j, 0))
	return err
}

func (b *Browser) receive() (m message) {
	b.t.Helper()
	j, err := b.reader.ReadBytes(0)
	if err != nil {
		said, _ := os.ReadFile(b.stderr) // without the file, the failure message is only less helpful
		b.t.Fatalf("chromium sends nothing more: %v; its standard error: %s", err, said)
	}
	b.unmarshal(j[:len(j)-1], &m)
	return m
}

// handle records the information in an event.
func (b *Browser) handle(m message) {
	b.t.Helper()
	var p struct {
		Args             []struct{ Value any }
		Entry            struct{ Text string }
		ErrorMessage     string
		ExceptionDetails exception
	}
	switch m.Method {
	case "Runtime.consoleAPICalled":
		b.unmarshal(m.Params, &p)
		for _, arg := range p.Args {
			b.console = append(b.console, fmt.Sprint(arg.Value))
		}
	case "Runtime.exceptionThrown":
		b.unmarshal(m.Params, &p)
		b.t.Fatalf("the page failed: %s", &p.ExceptionDetails)
	case "Log.entryAdded":
		b.unmarshal(m.Params, &p)
		b.Log = append(b.Log, p.Entry.Text)
	case "Network.webSocketFrameError":
		b.unmarshal(m.Params, &p)
		b.Log = append(b.Log, p.ErrorMessage)
	}
}

func (b *Browser) unmarshal(j []byte, into any) {
	b.t.Helper()
	if err := json.Unmarshal(j, into); err != nil {
		b.t.Fatalf("%v in %.200q", err, j)
	}
}
