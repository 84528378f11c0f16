package protocol

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// testKey is the masking key of RFC 6455 §5.7, which the Machines under test use.
var testKey = [4]byte{0x37, 0xfa, 0x21, 0x3d}

func useTestKey() [4]byte { return testKey }

// session describes a Machine, the bytes that it receives, and the close frames that its driver sends.
type session struct {
	client     bool
	compressed bool
	relay      bool
	limits     *Limits
	stream     []byte
	sends      []localClose // sorted by at
}

// localClose is a close frame that we send after at bytes of the stream have been received.
type localClose struct {
	at     int
	code   uint16
	reason string
}

// outcome is the result of a session, independent of how the stream was split: the parts of a message are joined.
type outcome struct {
	events      []string   // messages, pings, pongs and the close frame, in order
	violation   *Violation // nil means none
	partial     []byte     // the data of an incomplete message; after a violation, only the reported part
	openMessage string     // the type of that message; "" if there is none
	out         []byte     // the output of the Machine, including our close frames
	position    string     // Machine.Within at the end
	left        int64      // Machine.Left at the end
	inMessage   bool       // Machine.InMessage at the end; false if the stream has ended
}

// text formats the part of the outcome that does not depend on how the stream was split. It excludes the reported part of a message that is
// incomplete at a violation, because that part depends on where the piece with the invalid byte begins.
func (o outcome) text() string {
	var sb strings.Builder
	for _, ev := range o.events {
		sb.WriteString(ev + "\n")
	}
	switch v := o.violation; {
	case v != nil:
		fmt.Fprintf(&sb, "violation %s %d %s\n", v.Section, v.Code, v.Detail)
	case o.openMessage != "":
		fmt.Fprintf(&sb, "begun %s %s\n", o.openMessage, showBytes(o.partial))
	}
	if o.position != "" {
		fmt.Fprintf(&sb, "ends %s", o.position)
		if o.left > 0 {
			fmt.Fprintf(&sb, ", %d bytes of its payload to come", o.left)
		}
		sb.WriteByte('\n')
	}
	writeFrames(&sb, o.out)
	return sb.String()
}

// equivalent fails the test if the outcomes a and b of one stream, split differently, are not equivalent.
func equivalent(t testing.TB, a, b outcome, how string) {
	t.Helper()
	if x, y := a.text(), b.text(); x != y || a.inMessage != b.inMessage {
		t.Fatalf("the input in one piece:\n%s%s:\n%s", x, how, y)
	}
	if !bytes.HasPrefix(a.partial, b.partial) && !bytes.HasPrefix(b.partial, a.partial) {
		t.Fatalf("in one piece the unfinished message begins %q; %s, %q", a.partial, how, b.partial)
	}
}

// drive passes the session's stream to a Machine, split at the given offsets, and checks after every step what the documentation of
// Machine guarantees.
func drive(t testing.TB, s session, cuts ...int) outcome {
	t.Helper()
	d := driver{t: t, m: Machine{Client: s.client, Compressed: s.compressed, Relay: s.relay, Limits: s.limits}}
	ends := append(slices.Clone(cuts), len(s.stream))
	for _, c := range s.sends {
		ends = append(ends, c.at)
	}
	slices.Sort(ends)
	from, sends := 0, s.sends
	for _, to := range ends {
		d.feed(s.stream[from:to])
		for len(sends) > 0 && sends[0].at == to {
			d.send(sends[0])
			sends = sends[1:]
		}
		from = to
	}
	d.finish()
	return d.outcome
}

// driver is one run of a session.
type driver struct {
	outcome
	t       testing.TB
	m       Machine
	message Event // the first event of the incomplete message, without its payload
	closed  bool
}

// feed passes b to the Machine as one read from the network.
func (d *driver) feed(b []byte) {
	d.t.Helper()
	if ev, n, err := d.m.Step(nil); n != 0 || ev.Kind != None || (err == nil) != (d.violation == nil) {
		d.t.Fatalf("a step with no bytes: %+v, %d, %v", ev, n, err)
	}
	buf := slices.Clip(bytes.Clone(b)) // clipped, so that reading past its end panics
	for len(buf) > 0 {
		ev, n, err := d.m.Step(buf)
		switch {
		case n < 0 || n > len(buf):
			d.t.Fatalf("Step used %d of %d bytes", n, len(buf))
		case n == 0 && err == nil:
			d.t.Fatalf("Step used none of %d bytes", len(buf))
		case err != nil:
			d.fail(ev, err)
			return
		}
		d.observe(ev)
		for i := range buf[:n] { // the driver owns these bytes again: overwrite them to detect later reads
			buf[i] = 0xA5
		}
		buf = buf[n:]
		d.flush()
	}
}

// flush appends the Machine's output to out.
func (d *driver) flush() {
	d.out = d.m.AppendOutput(d.out, 1<<30, useTestKey)
	if d.m.Pending() || d.m.replies != nil {
		d.t.Fatal("output is pending after AppendOutput, or memory is held for it")
	}
}

func (d *driver) send(c localClose) {
	d.t.Helper()
	late := d.m.Closing() // the reply to the peer's close frame, or the close frame for a violation, was sent before
	was := len(d.out)
	out, err := d.m.AppendClose(d.out, c.code, c.reason, useTestKey)
	if late && (!errors.Is(err, ErrClosing) || len(out) != was) || !late && err != nil {
		d.t.Fatalf("AppendClose(%d, %q), a close frame already sent: %v: %v", c.code, c.reason, late, err)
	}
	d.out = out
}

// fail records a violation. All later calls of Step must return the same violation.
func (d *driver) fail(ev Event, err error) {
	d.t.Helper()
	var v *Violation
	if !errors.As(err, &v) {
		d.t.Fatalf("Step returned %T, not a *Violation: %v", err, err)
	}
	if ev.Kind != None {
		d.t.Fatalf("Step returned an event with its error: %+v", ev)
	}
	if d.violation != nil && d.violation != v {
		d.t.Fatalf("Step returned %v after %v", v, d.violation)
	}
	if d.closed {
		d.t.Fatalf("a violation after the peer's close frame: %v", v)
	}
	d.violation = v
	d.flush()
}

// observe adds an event to the outcome.
func (d *driver) observe(ev Event) {
	d.t.Helper()
	if ev.Kind != None && (d.closed || d.violation != nil) {
		d.t.Fatalf("an event after the end: %+v", ev)
	}
	switch ev.Kind {
	case None:
	case Data:
		d.data(ev)
	case Ping:
		d.events = append(d.events, "ping "+showBytes(ev.Payload))
	case Pong:
		d.events = append(d.events, "pong "+showBytes(ev.Payload))
	case Close:
		d.closed = true
		d.events = append(d.events, fmt.Sprintf("close %d %s", ev.Code, showBytes(ev.Payload)))
	default:
		d.t.Fatalf("an event of an unknown kind: %+v", ev)
	}
}

// data joins the parts of a message.
func (d *driver) data(ev Event) {
	d.t.Helper()
	if ev.First != (d.openMessage == "") {
		d.t.Fatalf("First is %v with %q begun", ev.First, d.openMessage)
	}
	if len(ev.Payload) == 0 && !ev.Last {
		d.t.Fatal("a Data event that has no payload and does not end the message")
	}
	if cap(ev.Payload) > len(ev.Payload) {
		d.t.Fatalf("the slice of %d payload bytes has a capacity of %d more", len(ev.Payload), cap(ev.Payload)-len(ev.Payload))
	}
	if ev.First {
		d.message = ev
		d.openMessage = kindOfMessage(ev.Text, ev.Compressed)
	}
	if ev.Text != d.message.Text || ev.Compressed != d.message.Compressed {
		d.t.Fatalf("the message changed its type: %+v", ev)
	}
	d.partial = append(d.partial, ev.Payload...)
	if ev.Last {
		d.events = append(d.events, "message "+d.openMessage+" "+showBytes(d.partial))
		d.openMessage, d.partial = "", nil
	}
}

// finish checks the final state of the Machine.
func (d *driver) finish() {
	d.t.Helper()
	d.flush()
	d.position, d.left = d.m.Within(), d.m.Left()
	over := d.closed || d.violation != nil
	d.inMessage = d.m.InMessage() && !over
	if d.m.Ended() != over {
		d.t.Fatalf("Ended() = %v", d.m.Ended())
	}
	if over && (d.left != 0 || d.position != "") {
		d.t.Fatalf("the stream is over, but Left() = %d and Within() = %q", d.left, d.position)
	}
	// All later bytes are ignored (§5.5.1, §7.1.7).
	if over {
		was := len(d.out)
		d.feed([]byte{0x89, 0x80, 0, 0, 0, 0, 0x89, 0x00, 0xff, 0xff})
		if d.flush(); len(d.out) != was {
			d.t.Fatalf("output after the end: % x", d.out[was:])
		}
	}
}

// kindOfMessage returns a message's type in the notation of the transcripts.
func kindOfMessage(text, compressed bool) string {
	kind := "binary"
	if text {
		kind = "text"
	}
	if compressed {
		kind += " compressed"
	}
	return kind
}
