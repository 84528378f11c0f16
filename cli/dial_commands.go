package cli

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/handfast/handfast/websocket"
	"github.com/handfast/handfast/websocket/protocol"
)

// commandHelp is the text of /help.
const commandHelp = `/ping                    measure the round-trip time of a ping
/close [CODE [REASON]]   close with this code, 1000 without one
/help                    this list
//text                   send /text`

// maxReason is the maximum length of the reason in a close frame (RFC 6455 §5.5: 125 bytes with the code).
const maxReason = 123

// remarkError is a remark to the user about a typed line that neither sends a message nor ends the input.
type remarkError struct{ text string }

func (e *remarkError) Error() string { return e.text }

func remarkf(format string, args ...any) error { return &remarkError{fmt.Sprintf(format, args...)} }

// interpret converts a typed line to a message. For a command it returns the error that requests the command's effect, and for a mistake an
// remarkError.
func interpret(line string, asJSON bool) (websocket.Message, error) {
	if rest, ok := strings.CutPrefix(line, "/"); ok && !strings.HasPrefix(rest, "/") {
		return websocket.Message{}, command(rest)
	} else if ok {
		line = rest
	}
	if !asJSON {
		return websocket.Message{Type: websocket.Text, Data: []byte(line)}, nil
	}
	m, err := parseMessage([]byte(line))
	if err != nil {
		return m, remarkf("not sent: the line %v; %s", err, jsonForms)
	}
	return m, nil
}

// command executes the command after the slash.
func command(line string) error {
	name, rest, _ := strings.Cut(line, " ")
	rest = strings.TrimSpace(rest)
	switch name {
	case "help":
		return &remarkError{commandHelp}
	case "ping":
		if rest != "" {
			return remarkf("/ping takes no arguments")
		}
		return errPing
	case "close":
		end, err := parseClose(rest)
		if err != nil {
			return remarkf("not closed: %v", err)
		}
		return end
	}
	return remarkf("not sent: /%s is not a command. //%s sends the line with one slash; /help lists the commands", name, line)
}

// parseClose parses the CODE and REASON of /close.
func parseClose(args string) (*closeRequest, error) {
	if args == "" {
		return &closeRequest{code: websocket.CodeNormal}, nil
	}
	first, reason, _ := strings.Cut(args, " ")
	reason = strings.TrimSpace(reason)
	n, err := strconv.ParseUint(first, 10, 16)
	switch {
	case err != nil:
		return nil, errors.New("the code must be a number, such as 1000; the reason may follow")
	case !protocol.CodeOnWire(uint16(n)):
		return nil, fmt.Errorf("the code %d must not be sent (RFC 6455 §7.4); 1000 to 1003, 1007 to 1014 and 3000 to 4999 are allowed", n)
	case len(reason) > maxReason:
		return nil, fmt.Errorf("the reason has %d bytes; a close frame has room for %d", len(reason), maxReason)
	}
	return &closeRequest{code: websocket.Code(n), reason: reason}, nil
}
