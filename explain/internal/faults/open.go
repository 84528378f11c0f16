package faults

import "github.com/handfast/handfast/explain"

// echoing makes the client send a message and wait for its echo.
func echoing(start func(*lab) (*Site, error)) func(*lab) (*Site, error) {
	return func(l *lab) (*Site, error) {
		s, err := start(l)
		if err == nil {
			s.Options.Echo = "hello"
		}
		return s, err
	}
}

// probing makes the client use the idle probe.
func probing(start func(*lab) (*Site, error)) func(*lab) (*Site, error) {
	return func(l *lab) (*Site, error) {
		s, err := start(l)
		if err == nil {
			s.Options.ProbeIdle = probeIdle
		}
		return s, err
	}
}

var openFaults = []Fault{
	{ID: explain.FaultGarbage, Name: "a page after the 101", start: stops("<!doctype html>\n<p>Welcome\n")},
	{ID: explain.FaultGarbage, Name: "another answer after the 101",
		start: stops("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")},
	{ID: explain.FaultMasked, Name: "masked frames", start: sends("\x81\x82\x01\x02\x03\x04ik")},
	{ID: explain.FaultFrame, Name: "a length in characters", start: sends("\x81\x05gr\xc3\xbc\xc3\x9fe\x81\x02hi")},
	{ID: explain.FaultFrame, Name: "a length in characters, cut between two", start: sends("\x81\x04\xc3\xa9tat\x81\x02hi")},
	{ID: explain.FaultFrame, Name: "a length in characters, and less than a header after it",
		start: withShortTimeout(stops("\x81\x05h\xc3\xa4ll\xc3\xb6"))},
	{ID: explain.FaultFrame, Name: "a length in UTF-16 units", start: sends("\x81\x03\xf0\x9f\x98\x80!\x81\x02hi")},
	{ID: explain.FaultFrame, Name: "a truncated frame", start: withShortTimeout(stops("\x81\x7d" + "hello"))},
	{ID: explain.FaultFrame, Name: "a frame with RSV2", start: sends("\xa1\x02hi")},
	{ID: explain.FaultFrame, Name: "a frame of opcode 3", start: sends("\x83\x02hi")},
	{ID: explain.FaultFrame, Name: "a long ping", start: sends("\x89\x7e\x00\x80" + string(make([]byte, 128)))},
	{ID: explain.FaultFrame, Name: "a continuation of nothing", start: sends("\x80\x02hi")},
	{ID: explain.FaultFrame, Name: "RSV1 without an extension", start: uncompressed(sends("\xc1\x02hi"))},
	{ID: explain.FaultFrame, Name: "text that is not UTF-8", start: sends("\x81\x02\xc3\x28")},
	{ID: explain.FaultClosedAtOnce, Name: "a close with code and reason", start: closes(1008, "no seat left")},
	{ID: explain.FaultClosedAtOnce, Name: "a close with a code of its own", start: closes(4401, "token expired")},
	{ID: explain.FaultClosedAtOnce, Name: "a close of GraphQL without its subprotocol", start: closes(4406, "Subprotocol not acceptable")},
	{ID: explain.FaultClosedAtOnce, Name: "a close with code 1000", Warning: true, start: closes(1000, "bye")},
	{ID: explain.FaultClosedAtOnce, Name: "a close with code 1000, after a text message", Warning: true, start: closesAfterText},
	{ID: explain.FaultNoCloseFrame, Name: "a close of the connection after the 101", start: closesConnection},
	{ID: explain.FaultNoCloseFrame, Name: "a reset after the 101", start: resetsConnection},
	{ID: explain.FaultNoCloseFrame, Name: "a close of the connection without a close frame", Warning: true, start: endsOnClose},
	{ID: explain.FaultNoPong, Name: "no pong", Warning: true, start: withShortTimeout(ignoring("\x89"))},
	{ID: explain.FaultNoPong, Name: "another pong", Warning: true, start: withShortTimeout(otherPong)},
	{ID: explain.FaultNoEcho, Name: "no reply to a message", Warning: true, start: withShortTimeout(echoing(ignoring("\x81")))},
	{ID: explain.FaultNoCloseAnswer, Name: "no answer to a close", Warning: true, start: withShortTimeout(ignoring("\x88"))},
	{ID: explain.FaultIdle, Name: "a path that cuts idle connections", Warning: true, start: idleCut},
	{ID: explain.FaultIdle, Name: "a server that closes idle connections", Warning: true, start: probing(idleServer)},
	{ID: explain.FaultIdle, Name: "a path that forgets idle connections", Warning: true, start: stopsAfterPing},
	{ID: explain.FaultCrossSite, Name: "any origin", Warning: true, start: anyOrigin},
}
