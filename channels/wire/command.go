package wire

import (
	"encoding/base64"
	"encoding/json"
	"unicode/utf8"
)

// Head contains the fields that are common to all commands.
type Head struct {
	// Type is the name of the command.
	Type string `json:"type"`

	// ID is a number that the client chooses, and that the reply repeats. 0 means that the server replies only if the command fails.
	ID uint64 `json:"id,omitempty"`

	// Channel is the channel that the command concerns.
	Channel string `json:"channel,omitempty"`
}

// Command is one of Subscribe, Unsubscribe, Publish, Members, History, Snapshot, Update, Ack, Refresh and Ping, as a pointer.
type Command interface{ head() *Head }

// HeadOf returns the head of a command.
func HeadOf(c Command) *Head { return c.head() }

func (h *Head) head() *Head { return h }

// Since specifies which missed messages a subscriber requests: those after a position, or those that a device has not acknowledged.
type Since struct {
	// Epoch and Offset are a position.
	Epoch  string `json:"epoch,omitempty"`
	Offset uint64 `json:"offset,omitempty"`

	// Device is the name of a device, instead of a position.
	Device string `json:"device,omitempty"`
}

// Subscribe subscribes to a channel.
type Subscribe struct {
	Head

	// Since requests the missed messages. nil requests none.
	Since *Since `json:"since,omitempty"`

	// Join makes the client a member of the channel, with Data.
	Join bool            `json:"join,omitempty"`
	Data json.RawMessage `json:"data,omitempty"`

	// Members is the number of members that the reply lists.
	Members int `json:"members,omitempty"`

	// Changes requests the joins, updates and leaves of members.
	Changes bool `json:"changes,omitempty"`
}

// Unsubscribe ends a subscription.
type Unsubscribe struct{ Head }

// Publish publishes a message.
type Publish struct {
	Head

	// Data is any JSON value. If Binary is set, Data is a string in base64.
	Data   json.RawMessage `json:"data,omitempty"`
	Binary bool            `json:"binary,omitempty"`

	// Event is the name of an event, for clients of protocols with named events.
	Event string `json:"event,omitempty"`

	// MessageID makes publishing idempotent: for five minutes, a second message with the same MessageID is not published.
	MessageID string `json:"message_id,omitempty"`

	// Key is the key of a keyed collection that the message sets, or removes if Removed is set.
	Key     string `json:"key,omitempty"`
	Removed bool   `json:"removed,omitempty"`

	// Echo specifies whether a publisher that has subscribed to the channel also receives the message. nil means true.
	Echo *bool `json:"echo,omitempty"`

	// Tags are additional values that the publisher sets.
	Tags map[string]string `json:"tags,omitempty"`
}

// Members requests a page of the members of a channel.
type Members struct {
	Head

	// After is the Next value of the previous page.
	After string `json:"after,omitempty"`

	// Limit is the maximum number of members to return. 0 means 100.
	Limit int `json:"limit,omitempty"`
}

// History requests a page of the history of a channel.
type History struct {
	Head

	// Since is the position after which to begin or, with Reverse, before which. nil means the beginning or, with Reverse, the end.
	Since *Position `json:"since,omitempty"`

	// Limit is the maximum number of messages to return. 0 means none: the reply contains only the position of the channel.
	Limit int `json:"limit,omitempty"`

	// Reverse returns the newest messages first.
	Reverse bool `json:"reverse,omitempty"`
}

// Snapshot requests a page of a keyed collection: the latest message of each key.
type Snapshot struct {
	Head

	// After is the Next value of the previous page.
	After string `json:"after,omitempty"`

	// Limit is the maximum number of keys to return. 0 means 100.
	Limit int `json:"limit,omitempty"`
}

// Update changes the data of the client as a member of a channel.
type Update struct {
	Head

	// Data is the member's new public data.
	Data json.RawMessage `json:"data,omitempty"`
}

// Ack acknowledges all messages up to and including a position, for a device.
type Ack struct {
	Head

	// Position is the position up to which the device has read.
	Position Position `json:"position"`

	// Device is the name of the device, which is unique among the user's devices.
	Device string `json:"device"`
}

// Refresh renews the token of the connection.
type Refresh struct {
	Head

	// Token is the new token.
	Token string `json:"token"`
}

// Ping requests a pong.
type Ping struct{ Head }

const (
	maxDepth    = 64   // the maximum depth of nested arrays and objects in a message
	maxPage     = 1000 // the maximum number of members, messages or keys in a page
	maxName     = 255  // the maximum number of bytes of a channel, a key and other names
	maxTags     = 16
	maxMetadata = 4096 // the maximum number of bytes of a member's data, and of the names and values of tags
)

// commands contains the commands by type name. needsChannel means that the command requires a channel.
var commands = map[string]struct {
	new          func() Command
	needsChannel bool
}{
	"subscribe":   {func() Command { return new(Subscribe) }, true},
	"unsubscribe": {func() Command { return new(Unsubscribe) }, true},
	"publish":     {func() Command { return new(Publish) }, true},
	"members":     {func() Command { return new(Members) }, true},
	"history":     {func() Command { return new(History) }, true},
	"snapshot":    {func() Command { return new(Snapshot) }, true},
	"update":      {func() Command { return new(Update) }, true},
	"ack":         {func() Command { return new(Ack) }, true},
	"refresh":     {func() Command { return new(Refresh) }, false},
	"ping":        {func() Command { return new(Ping) }, false},
}

// Decode returns the command in a client's message. An error contains the ID of the command if the ID could be decoded.
func Decode(data []byte) (Command, *Error) {
	if c := decodeSubscribeFast(data); c != nil {
		return c, nil
	}
	return decode(data)
}

// decode does the work of Decode with encoding/json.
func decode(data []byte) (Command, *Error) {
	var h Head
	fail := func(code Code, text string) (Command, *Error) {
		return nil, &Error{Type: "error", ID: h.ID, Code: code, Message: text}
	}
	if !nestsWithin(data) {
		return fail(BadRequest, "the message nests arrays and objects more than 64 levels deep")
	}
	if err := json.Unmarshal(data, &h); err != nil {
		return fail(BadRequest, "not a command: want a JSON object with type, and id and channel where required")
	}
	kind, ok := commands[h.Type]
	switch {
	case !ok:
		return fail(UnknownType, "there is no command of this type")
	case kind.needsChannel && h.Channel == "":
		return fail(BadRequest, "channel is missing")
	case len(h.Channel) > maxName:
		return fail(BadRequest, "the name of the channel is longer than 255 bytes")
	}
	c := kind.new()
	if err := json.Unmarshal(data, c); err != nil {
		return fail(BadRequest, "a field has a value of the wrong type")
	}
	if text := invalid(c); text != "" {
		return fail(BadRequest, text)
	}
	return c, nil
}

// invalid describes the error in a command, or "" if there is none.
func invalid(c Command) string {
	switch c := c.(type) {
	case *Subscribe:
		switch {
		case c.Members < 0 || c.Members > maxPage:
			return "members is not between 0 and 1000"
		case c.Since != nil && (c.Since.Device == "") == (c.Since.Epoch == ""):
			return "since must have either epoch and offset, or device"
		case len(c.Data) > maxMetadata:
			return "the data of a member may have at most 4096 bytes"
		}
	case *Update:
		if len(c.Data) > maxMetadata {
			return "the data of a member may have at most 4096 bytes"
		}
	case *Publish:
		return c.invalid()
	case *Members:
		return checkLimit(&c.Limit, 100)
	case *Snapshot:
		return checkLimit(&c.Limit, 100)
	case *History:
		return checkLimit(&c.Limit, 0)
	case *Ack:
		if c.Device == "" || len(c.Device) > maxName || c.Position.Epoch == "" {
			return "device or position is missing"
		}
	case *Refresh:
		if c.Token == "" {
			return "token is missing"
		}
	}
	return ""
}

func (c *Publish) invalid() string {
	switch {
	case len(c.Data) == 0 && !c.Removed:
		return "data is missing"
	case c.Removed && c.Key == "":
		return "removed requires a key"
	case len(c.Key) > maxName || len(c.MessageID) > maxName || len(c.Event) > maxName:
		return "key, message_id and event may have at most 255 bytes"
	case len(c.Tags) > maxTags:
		return "there are more than 16 tags"
	case sizeOf(c.Tags) > maxMetadata:
		return "tags may have at most 4096 bytes"
	}
	if c.Binary {
		if _, err := c.Bytes(); err != nil {
			return "data is not a string in base64, which binary requires"
		}
	}
	return ""
}

// sizeOf returns the total number of bytes of names and values.
func sizeOf(tags map[string]string) (size int) {
	for name, value := range tags {
		size += len(name) + len(value)
	}
	return size
}

// Bytes returns the data to publish: the decoded bytes if Binary is set, otherwise the JSON.
func (c *Publish) Bytes() ([]byte, error) { return dataBytes(c.Data, c.Binary) }

// Bytes returns the data as it was published: the decoded bytes if Binary is set, otherwise the JSON.
func (m *Message) Bytes() ([]byte, error) { return dataBytes(m.Data, m.Binary) }

func dataBytes(data json.RawMessage, binary bool) ([]byte, error) {
	if !binary || len(data) == 0 {
		return data, nil
	}
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return nil, err
	}
	return base64.StdEncoding.DecodeString(text)
}

// JSON returns the data of a publication in the form for messages: JSON unchanged, other text as a string, and binary data in
// base64, which inBase64 reports.
func JSON(data []byte, binary bool) (value json.RawMessage, inBase64 bool) {
	switch {
	case len(data) == 0:
		return nil, false
	case binary || !utf8.Valid(data):
		value, _ = json.Marshal(data) // encoding a []byte in base64 does not fail
		return value, true
	case json.Valid(data):
		return data, false
	}
	value, _ = json.Marshal(string(data)) // encoding a string does not fail
	return value, false
}

// checkLimit checks the size of a page, and sets the default if there is none.
func checkLimit(limit *int, defaultLimit int) string {
	if *limit < 0 || *limit > maxPage {
		return "limit is not between 0 and 1000"
	}
	if *limit == 0 {
		*limit = defaultLimit
	}
	return ""
}

// nestsWithin reports whether no value in data is nested too deeply. It is called before data is parsed.
func nestsWithin(data []byte) bool {
	depth, inString := 0, false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			if depth++; depth > maxDepth {
				return false
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return true
}
