// Package webhook posts the events of a hub to an application: connections, subscriptions, publications, changes of members, and
// which channels are in use. A [Sender] receives the events of [hub.Options].Events; a [Format] encodes the requests and signs
// them.
//
// An event is sent at least once, if the receiver answers within five minutes and the queue has room. A receiver must ignore an
// event with an ID that it has already received. After five minutes the event is dropped and counted. The queue is in memory. If
// the process is killed, the queued events are lost, except for disconnects, which the hub of another node reports again.
package webhook
