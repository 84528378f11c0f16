// Package webhook posts the events of a hub to an application: who has connected, subscribed and published, who is present, and which
// channels are in use. A [Sender] is what [hub.Options].Events calls; a [Format] says what the requests look like, and signs
// them.
//
// An event is sent at least once, as long as the receiver answers within five minutes and the queue has room: a receiver that gets
// an ID a second time ignores it. After that, it is dropped and counted. The queue is in memory. What is in it when the process is
// killed is lost, except for disconnects: the hub of another node reports those again.
package webhook
