package pusher

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"unicode/utf8"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/websocket"
)

// event is a message to clients.
type event struct {
	Event   string `json:"event"`
	Channel string `json:"channel,omitempty"`
	Data    any    `json:"data,omitempty"` // JSON in a string, except for errors, pings and pongs
	UserID  string `json:"user_id,omitempty"`

	// The position of the client after this event, if the client has requested positions. The epoch is set only when it has
	// changed.
	Epoch  string  `json:"epoch,omitempty"`
	Offset *uint64 `json:"offset,omitempty"`
}

// command is a message from a client.
type command struct {
	Event   string          `json:"event"`
	Channel string          `json:"channel"`
	Data    json.RawMessage `json:"data"`
}

// request is the data of pusher: commands.
type request struct {
	Channel     string `json:"channel"`
	Auth        string `json:"auth"`
	ChannelData string `json:"channel_data"`
	UserData    string `json:"user_data"`
	Recover     bool   `json:"recover"`
	Since       *since `json:"since"`
}

// member is the content of channel_data.
type member struct {
	UserID   json.RawMessage `json:"user_id"`
	UserInfo json.RawMessage `json:"user_info"`
}

// user is the content of user_data.
type user struct {
	ID       string          `json:"id"`
	UserInfo json.RawMessage `json:"user_info"`

	Watchlist json.RawMessage `json:"watchlist"` // a list of user IDs
}

var errNotMember = errors.New("pusher: not the data of a member")

// unwrap returns the JSON in data: clients send an object, or a string that contains one.
func unwrap(data json.RawMessage) []byte {
	var text string
	if len(data) > 0 && data[0] == '"' && json.Unmarshal(data, &text) == nil {
		return []byte(text)
	}
	return data
}

// parseMember parses channel_data. A user's ID is a string or a number.
func parseMember(text string) (id string, info []byte, err error) {
	var m member
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		return "", nil, errNotMember
	}
	if len(m.UserID) == 0 || json.Unmarshal(m.UserID, &id) != nil {
		var n json.Number
		if json.Unmarshal(m.UserID, &n) != nil {
			return "", nil, errNotMember
		}
		id = n.String()
	}
	if !validUser(id) {
		return "", nil, errNotMember
	}
	return id, infoOf(m.UserInfo), nil
}

// infoOf returns the data of a member. Missing data is null instead of nil, because nil would mean the data of the session.
func infoOf(info json.RawMessage) []byte {
	if len(info) == 0 {
		return []byte("null")
	}
	return info
}

// failure returns a pusher:error. A code of 0 means that the message has none.
func failure(code int, why, channel string) *event {
	data := struct {
		Code    *int   `json:"code"`
		Message string `json:"message"`
	}{Message: why}
	if code != 0 {
		data.Code = &code
	}
	return &event{Event: "pusher:error", Channel: channel, Data: data}
}

// subscriptionError is the data of pusher:subscription_error.
type subscriptionError struct {
	Type   string `json:"type"`
	Error  string `json:"error"`
	Status int    `json:"status"`
}

// eventData returns the data of a publication in the form that clients receive: a string, or nil for a client event without data.
func eventData(p *hub.Publication) any {
	switch {
	case len(p.Data) == 0 && p.Client != "":
		return nil // a client event without data
	case p.Binary || !utf8.Valid(p.Data):
		return base64.StdEncoding.EncodeToString(p.Data)
	}
	return string(p.Data)
}

// asJSON returns data as JSON, because the data of other protocols may be plain text.
func asJSON(data []byte) json.RawMessage {
	if len(data) == 0 {
		return json.RawMessage("null")
	}
	if !json.Valid(data) {
		return encode(string(data))
	}
	return data
}

// encode returns v as JSON. v must not contain anything that cannot be encoded.
func encode(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return []byte("null")
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// jsonText returns v as JSON in a string, because the protocol encodes most data twice.
func jsonText(v any) string { return string(encode(v)) }

// prepare encodes a message once for all receivers.
func prepare(e *event) (*websocket.Prepared, error) {
	return websocket.Prepare(websocket.Message{Type: websocket.Text, Data: encode(e)})
}
