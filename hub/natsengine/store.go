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

// The headers that this package adds.
const (
	limitsHeader = "Hf-Limits" // how much history the channel keeps: number, milliseconds
	firstHeader  = "Hf-First"  // this publication was the first of the channel
	offsetHeader = "Hf-Offset" // the publication's offset, where it is not the sequence
	untilHeader  = "Hf-Until"  // when a key is removed, in milliseconds of Unix time
)

var errWrongLast = errors.New("natsengine: another message was last")

// store reads and writes the two streams.
type store struct {
	*mux
	log, state string // their names
	copied     bool   // there were copies when the streams were looked at
	leader     bool   // there may be copies, which may be behind: ask the leader what is last
}

// item is a stored message.
type item struct {
	subject  string
	seq      uint64
	previous uint64 // the sequence before it in an answer
	pending  uint64 // how many are behind it in its subject
	at       time.Time
	header   nats.Header
	data     []byte
}

// putting says how a message is stored. A message is sent again when no answer comes, so that it may arrive twice: it needs an ID,
// or an expected sequence by which the caller can tell its own message from others, or to be one that may be stored twice.
type putting struct {
	id     string        // of the message; "" means none
	ttl    time.Duration // 0: forever
	expect *uint64       // what the last sequence of the subject must be
	header nats.Header   // more headers; may be nil
}

// ack is the answer to a put.
type ack struct {
	Seq       uint64    `json:"seq"`
	Duplicate bool      `json:"duplicate"`
	Error     *apiError `json:"error"`
}

// put stores a message.
func (s *store) put(ctx context.Context, subject string, data []byte, o putting) (a ack, err error) {
	err = s.request(ctx, subject, o.headers(), data, func(msg *nats.Msg) (err error) {
		a, err = readAck(msg)
		return err
	})
	return a, err
}

func (o *putting) headers() nats.Header {
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

// query is a request for messages of a stream.
type query struct {
	Seq    uint64 `json:"seq,omitempty"`
	Next   string `json:"next_by_subj,omitempty"`
	Last   string `json:"last_by_subj,omitempty"`
	Batch  int    `json:"batch,omitempty"`
	MaxSum int    `json:"max_bytes,omitempty"`
}

// last returns the last message whose subject fits, and nil if there is none.
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

// statusOf returns the status of an answer that is not JSON; 0 if it has none.
func statusOf(msg *nats.Msg) *apiError {
	return &apiError{Status: int(number(msg.Header, "Status")), Description: msg.Header.Get("Description")} //nolint:gosec // three digits
}

// lastOfLeader asks what only the leader of a stream answers. While there is none, no server does.
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

// apiAnswer is the answer to a request that reads or removes messages.
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

// api sends a request that the leader of a stream answers. An error that the server reports is an [*apiError].
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

const batchBytes = 1 << 20 // of one answer, which ends with the message with which it has them

// batch returns up to n messages with a subject that fits, from a sequence on. more says how many there are behind them.
func (s *store) batch(ctx context.Context, stream, subject string, from uint64, n int) (items []item, more uint64, err error) {
	data, err := json.Marshal(query{Seq: max(from, 1), Next: subject, Batch: n, MaxSum: batchBytes})
	if err != nil {
		return nil, 0, err
	}
	err = persist(ctx, func(ctx context.Context) error {
		answers, done, err := s.ask(&nats.Msg{Subject: "$JS.API.DIRECT.GET." + stream, Data: data}, n+1)
		if err != nil {
			return err
		}
		defer done()
		items, more, err = readBatch(ctx, answers)
		return err
	})
	return items, more, err
}

// readBatch reads the answers to one question. It does not wait long for the next one.
func readBatch(ctx context.Context, answers <-chan *nats.Msg) (items []item, more uint64, err error) {
	for {
		once, cancel := context.WithTimeoutCause(ctx, askAgain, errTooLate)
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
		case http.StatusNoContent: // the end
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

// purge removes messages whose subject fits: those before a sequence, or all but the newest, or all.
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

// limits are how much history a channel keeps.
type limits struct {
	size int
	age  time.Duration
}

func (l limits) String() string { return fmt.Sprintf("%d %d", l.size, l.age.Milliseconds()) }

// limits returns those that a stored publication carries.
func (i *item) limits() limits {
	var l limits
	var ms int64
	if n, _ := fmt.Sscanf(i.header.Get(limitsHeader), "%d %d", &l.size, &ms); n == 2 {
		l.age = time.Duration(ms) * time.Millisecond
	}
	return l
}

// number returns a header that is a number; 0 if there is none.
func number(h nats.Header, key string) uint64 {
	n, _ := strconv.ParseUint(h.Get(key), 10, 64)
	return n
}
