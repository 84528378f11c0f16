package natsengine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
)

// The headers that this package adds to messages.
const (
	limitsHeader = "Hf-Limits" // the limits of the channel's history: number, and age in milliseconds
	firstHeader  = "Hf-First"  // this publication was the first of the channel
	offsetHeader = "Hf-Offset" // the publication's offset, if it is not the sequence
	untilHeader  = "Hf-Until"  // when a key expires, in milliseconds of Unix time
)

var errWrongLast = errors.New("natsengine: the last message of the subject is not the expected one")

// store reads and writes the two streams.
type store struct {
	*mux
	log, state string // the names of the streams
	copied     bool   // the streams had several replicas at the last check
	leader     bool   // the streams may have replicas that lag behind: ask the leader for the last message
}

// item is a stored message.
type item struct {
	subject  string
	seq      uint64
	previous uint64 // the sequence of the previous message in a batch
	pending  uint64 // the number of later messages of the subject
	at       time.Time
	header   nats.Header
	data     []byte
}

// putOptions specifies how a message is stored. A message is sent again if no reply arrives, so it may be stored twice.
// Therefore it needs an ID, or an expected sequence by which the caller can recognize its own message, or content for
// which a duplicate does no harm.
type putOptions struct {
	id     string        // the message ID; "" means none
	ttl    time.Duration // 0 means forever
	expect *uint64       // the required last sequence of the subject
	header nats.Header   // additional headers; may be nil
}

// ack is the reply to a put.
type ack struct {
	Seq       uint64    `json:"seq"`
	Duplicate bool      `json:"duplicate"`
	Error     *apiError `json:"error"`
}

// put stores a message.
func (s *store) put(ctx context.Context, subject string, data []byte, o putOptions) (a ack, err error) {
	err = s.request(ctx, subject, o.headers(), data, func(msg *nats.Msg) (err error) {
		a, err = readAck(msg)
		return err
	})
	return a, err
}

func (o *putOptions) headers() nats.Header {
	h := o.header
	if h == nil {
		h = nats.Header{}
	}
	if o.id != "" {
		h["Nats-Msg-Id"] = []string{o.id}
	}
	if o.ttl > 0 {
		h["Nats-TTL"] = []string{strconv.FormatInt(int64((o.ttl+time.Second-1)/time.Second), 10)}
	}
	if o.expect != nil {
		h["Nats-Expected-Last-Subject-Sequence"] = []string{strconv.FormatUint(*o.expect, 10)}
	} else {
		delete(h, "Nats-Expected-Last-Subject-Sequence")
	}
	return h
}

func readAck(msg *nats.Msg) (a ack, err error) {
	if err := json.Unmarshal(msg.Data, &a); err != nil {
		return a, fmt.Errorf("natsengine: not an acknowledgement: %w", err)
	}
	switch {
	case a.Error == nil:
		return a, nil
	case a.Error.Code == codeWrongLast || a.Error.Code == codeWrongLastNow:
		return a, errWrongLast
	}
	return a, fmt.Errorf("natsengine: storing a message: %w", a.Error)
}

// query is a request to read messages of a stream.
type query struct {
	Seq    uint64 `json:"seq,omitempty"`
	Next   string `json:"next_by_subj,omitempty"`
	Last   string `json:"last_by_subj,omitempty"`
	Batch  int    `json:"batch,omitempty"`
	MaxSum int    `json:"max_bytes,omitempty"`
}

// last returns the last message that matches the subject, or nil if there is none.
func (s *store) last(ctx context.Context, stream, subject string) (*item, error) {
	data, err := json.Marshal(query{Last: subject})
	if err != nil {
		return nil, err
	}
	if s.leader {
		return s.lastOfLeader(ctx, stream, data)
	}
	var i *item
	err = s.request(ctx, "$JS.API.DIRECT.GET."+stream, nil, data, func(msg *nats.Msg) (err error) {
		switch status := statusOf(msg); status.Status {
		case 0:
			i, err = readItem(msg)
		case http.StatusNotFound:
		default:
			err = fmt.Errorf("natsengine: reading a message: %w", status)
		}
		return err
	})
	return i, err
}

// statusOf returns the status of a reply that is not JSON. The Status is 0 if the reply has none.
func statusOf(msg *nats.Msg) *apiError {
	return &apiError{Status: int(number(msg.Header, "Status")), Description: msg.Header.Get("Description")} // a status has three digits
}

// lastOfLeader reads the last message with a request to which only the leader of a stream replies. While there is no leader, no
// server replies.
func (s *store) lastOfLeader(ctx context.Context, stream string, request []byte) (*item, error) {
	got, err := s.api(ctx, "$JS.API.STREAM.MSG.GET."+stream, request)
	if api, ok := errors.AsType[*apiError](err); ok && api.Code == codeNotFound {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("natsengine: reading a message: %w", err)
	}
	m := &got.Message
	i := &item{subject: m.Subject, seq: m.Seq, at: m.Time, data: m.Data}
	if len(m.Header) > 0 {
		if i.header, err = nats.DecodeHeadersMsg(m.Header); err != nil {
			return nil, fmt.Errorf("natsengine: reading a message: %w", err)
		}
	}
	return i, nil
}

// apiAnswer is the reply to a request that reads or removes messages.
type apiAnswer struct {
	Error   *apiError `json:"error"`
	Message struct {
		Subject string    `json:"subject"`
		Seq     uint64    `json:"seq"`
		Header  []byte    `json:"hdrs"`
		Data    []byte    `json:"data"`
		Time    time.Time `json:"time"`
	} `json:"message"`
}

// api sends a request to which the leader of a stream replies. An error that the server reports is an [*apiError].
func (s *store) api(ctx context.Context, subject string, request []byte) (*apiAnswer, error) {
	var got apiAnswer
	err := s.request(ctx, subject, nil, request, func(msg *nats.Msg) error {
		got = apiAnswer{}
		if err := json.Unmarshal(msg.Data, &got); err != nil {
			return fmt.Errorf("natsengine: reading an answer of the NATS server: %w", err)
		}
		if got.Error != nil {
			return got.Error
		}
		return nil
	})
	return &got, err
}

const batchBytes = 1 << 20 // the size limit of one reply, which ends with the message that reaches it

// batch returns up to n messages that match the subject, beginning at a sequence. more is the number of remaining messages.
func (s *store) batch(ctx context.Context, stream, subject string, from uint64, n int) (items []item, more uint64, err error) {
	data, err := json.Marshal(query{Seq: max(from, 1), Next: subject, Batch: n, MaxSum: batchBytes})
	if err != nil {
		return nil, 0, err
	}
	err = withRetry(ctx, func(ctx context.Context) error {
		answers, done, err := s.send(&nats.Msg{Subject: "$JS.API.DIRECT.GET." + stream, Data: data}, n+1)
		if err != nil {
			return err
		}
		defer done()
		items, more, err = readBatch(ctx, answers)
		return err
	})
	return items, more, err
}

// readBatch reads the messages of one reply. It waits up to retryInterval for each.
func readBatch(ctx context.Context, answers <-chan *nats.Msg) (items []item, more uint64, err error) {
	for {
		once, cancel := context.WithTimeoutCause(ctx, retryInterval, errTimeout)
		msg, err := receive(once, answers)
		cancel()
		if err != nil {
			return nil, 0, err
		}
		switch status := statusOf(msg); status.Status {
		case 0:
			i, err := readItem(msg)
			if err != nil {
				return nil, 0, err
			}
			items = append(items, *i)
		case http.StatusNoContent: // end of the batch
			more, _ = strconv.ParseUint(msg.Header.Get("Nats-Num-Pending"), 10, 64)
			return items, more, nil
		case http.StatusNotFound:
			return items, 0, nil
		default:
			return nil, 0, fmt.Errorf("natsengine: reading messages: %w", status)
		}
	}
}

func readItem(msg *nats.Msg) (*item, error) {
	i := &item{subject: msg.Header.Get("Nats-Subject"), header: msg.Header, data: msg.Data}
	var err error
	if i.seq, err = strconv.ParseUint(msg.Header.Get("Nats-Sequence"), 10, 64); err != nil {
		return nil, errors.New("natsengine: a stored message without a sequence")
	}
	i.previous, _ = strconv.ParseUint(msg.Header.Get("Nats-Last-Sequence"), 10, 64)
	i.pending, _ = strconv.ParseUint(msg.Header.Get("Nats-Num-Pending"), 10, 64)
	if i.at, err = time.Parse(time.RFC3339Nano, msg.Header.Get("Nats-Time-Stamp")); err != nil {
		return nil, errors.New("natsengine: a stored message without a time")
	}
	return i, nil
}

// purge removes messages that match the subject: those before a sequence, or all but the newest ones, or all.
func (s *store) purge(ctx context.Context, stream, subject string, before uint64, keep int) error {
	data, err := json.Marshal(struct {
		Before uint64 `json:"seq,omitempty"`
		Filter string `json:"filter"`
		Keep   int    `json:"keep,omitempty"`
	}{before, subject, keep})
	if err != nil {
		return err
	}
	if _, err = s.api(ctx, "$JS.API.STREAM.PURGE."+stream, data); err != nil {
		return fmt.Errorf("natsengine: removing messages: %w", err)
	}
	return nil
}

// limits specifies how much history a channel keeps.
type limits struct {
	size int
	age  time.Duration
}

func (l limits) String() string { return fmt.Sprintf("%d %d", l.size, l.age.Milliseconds()) }

// limits returns the limits that are stored with a publication.
func (i *item) limits() limits {
	var l limits
	var ms int64
	if n, _ := fmt.Sscanf(i.header.Get(limitsHeader), "%d %d", &l.size, &ms); n == 2 {
		l.age = time.Duration(ms) * time.Millisecond
	}
	return l
}

// number returns the value of a numeric header; 0 if there is none.
func number(h nats.Header, key string) uint64 {
	n, _ := strconv.ParseUint(h.Get(key), 10, 64)
	return n
}
