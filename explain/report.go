package explain

import (
	"encoding/json"
	"strconv"
	"time"
)

// Report is everything that was seen. Its JSON form is stable: fields are added, never renamed. Times are in
// milliseconds; secrets are redacted already. It is the caller's, and safe to read from several goroutines.
type Report struct {
	// URL is what was asked for, without its secrets. Started is when, by this machine's clock.
	URL     string    `json:"url"`
	Started time.Time `json:"started"`
	// Duration is how long all of it took.
	Duration Duration `json:"duration_ms"`
	// Opened says that the opening handshake succeeded by every rule that a browser applies, or a strict client.
	Opened bool `json:"opened"`

	// Target is where the handshake went. nil when the URL could not be read.
	Target *Target `json:"target,omitempty"`
	// Steps is what was done, in order of time.
	Steps []Step `json:"steps"`
	// Address is the address that was connected to, host and port; "" when none was.
	Address string `json:"address,omitempty"`
	// TLS is what is known of the TLS handshake, also of one that failed. nil without TLS.
	TLS *TLS `json:"tls,omitempty"`
	// Response is the head of the server's answer, as far as it could be read, or the proxy's when that refused.
	Response *Response `json:"response,omitempty"`
	// Key is the computation that turns the key into the accept value. nil when no request was sent.
	Key *Key `json:"key,omitempty"`
	// Subprotocol is what the server chose, Extensions what it agreed to. "" is none.
	Subprotocol string `json:"subprotocol,omitempty"`
	Extensions  string `json:"extensions,omitempty"`
	// Ping is the round trip of a ping. 0: none was answered.
	Ping Duration `json:"ping_ms,omitempty"`
	// Close is how the connection ended. nil when it never opened.
	Close *Close `json:"close,omitempty"`
	// Origins are the further handshakes that were tried with other origins, in order.
	Origins []OriginTry `json:"origins,omitempty"`
	// WithoutUpgrade is the status of the answer to the same request without Upgrade, which is sent when it is in doubt whether
	// the upgrade reached the server. 0: it was not sent, or got no answer.
	WithoutUpgrade int `json:"without_upgrade_status,omitempty"`
	// Idle is what the idle probe found. nil when it was not asked for.
	Idle *Idle `json:"idle,omitempty"`

	// Findings are the faults that were seen, the one that decided first, warnings last.
	Findings []Finding `json:"findings,omitempty"`
	// Diagnosis explains the fault that decided. nil when all went well.
	Diagnosis *Diagnosis `json:"diagnosis,omitempty"`
	// Warnings explain what is wrong although the connection opened.
	Warnings []Diagnosis `json:"warnings,omitempty"`
}

// OK reports whether the connection opened and nothing failed it afterwards. Warnings do not count.
func (r *Report) OK() bool { return r.Opened && r.Diagnosis == nil }

// Duration is a time.Duration that is a number of milliseconds in JSON.
type Duration time.Duration

// MarshalJSON writes d in milliseconds with three decimals at most.
func (d Duration) MarshalJSON() ([]byte, error) {
	us := time.Duration(d).Round(time.Microsecond).Microseconds()
	return strconv.AppendFloat(nil, float64(us)/1000, 'f', -1, 64), nil
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (d *Duration) UnmarshalJSON(b []byte) error {
	var ms float64
	if err := json.Unmarshal(b, &ms); err != nil {
		return err
	}
	*d = Duration(ms * float64(time.Millisecond))
	return nil
}

// String returns d as a person reads it: three digits and a unit.
func (d Duration) String() string {
	t := time.Duration(d)
	switch {
	case t >= 100*time.Millisecond:
		return t.Round(time.Millisecond).String()
	case t >= 10*time.Millisecond:
		return t.Round(100 * time.Microsecond).String()
	}
	return t.Round(10 * time.Microsecond).String()
}

// Stage is a part of the way from a URL to an open connection and back.
type Stage string

// The stages, in their order.
const (
	StageURL      Stage = "url"
	StageDNS      Stage = "dns"
	StageTCP      Stage = "tcp"
	StageProxy    Stage = "proxy"
	StageTLS      Stage = "tls"
	StageRequest  Stage = "request"
	StageResponse Stage = "response"
	StageAccept   Stage = "accept" // how the key becomes the accept value
	StageAgreed   Stage = "agreed" // subprotocol and extensions
	StagePing     Stage = "ping"
	StageEcho     Stage = "echo"
	StageWatch    Stage = "watch"
	StageIdle     Stage = "idle"
	StageClose    Stage = "close"
	StageOrigin   Stage = "origin" // a further handshake with another origin
	StageProbe    Stage = "probe"  // a further connection, to find out why something failed
)

// Step is one thing that was done, and what came of it.
type Step struct {
	Stage Stage `json:"stage"`
	// Title says in a few words what was done, and Result what came of it.
	Title  string `json:"title"`
	Result string `json:"result,omitempty"`
	// Start counts from Report.Started.
	Start    Duration `json:"start_ms"`
	Duration Duration `json:"duration_ms"`
	// OK is false for a step that failed. A rule that did not hold fails its step.
	OK bool `json:"ok"`
	// Sent and Received are lines as they went over the wire, redacted; bytes that are no text are escaped.
	Sent     []Line `json:"sent,omitempty"`
	Received []Line `json:"received,omitempty"`
	// Facts are what is known beside these.
	Facts []Fact `json:"facts,omitempty"`
	// Rules are the clauses that apply here.
	Rules []Check `json:"rules,omitempty"`
	// Frames are the frames of this step.
	Frames []Frame `json:"frames,omitempty"`
}

// Line is a line of the wire and what it is for.
type Line struct {
	// Text is the line without its end.
	Text string `json:"text"`
	// Note says why it is there or what it means. "" is no note.
	Note string `json:"note,omitempty"`
}

// Fact is a name and a value.
type Fact struct {
	// Name says of what, Value what.
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Check is a rule that was applied.
type Check struct {
	// Clause is where the rule stands: "RFC 6455 §4.1". Text says it in plain words.
	Clause string `json:"clause"`
	Text   string `json:"text"`
	Held   bool   `json:"held"`
	// Detail is what was seen.
	Detail string `json:"detail,omitempty"`
}

// Target is where a URL leads.
type Target struct {
	// Secure says that it is wss.
	Secure bool `json:"secure"`
	// Host is the name without brackets, Port a number, Path the path and the query, redacted.
	Host string `json:"host"`
	Port string `json:"port"`
	Path string `json:"path"`
	// Origin is what the request said in its Origin header. "" is that it had none.
	Origin string `json:"origin,omitempty"`
	// Proxy is the proxy's address, host and port. "" is none.
	Proxy string `json:"proxy,omitempty"`
	// Subprotocols are those that were offered, redacted.
	Subprotocols []string `json:"subprotocols,omitempty"`
	// Credentials names the patterns by which credentials were sent: "bearer", "basic", "cookie", "subprotocol", "query",
	// "api-key", "client certificate", "header". Never a value.
	Credentials []string `json:"credentials,omitempty"`
}

// TLS is what is known of a TLS handshake.
type TLS struct {
	// Version, Group and Suite are names, such as "TLS 1.3", "X25519MLKEM768", "TLS_AES_128_GCM_SHA256". "" is unknown.
	Version string `json:"version,omitempty"`
	Group   string `json:"group,omitempty"`
	Suite   string `json:"suite,omitempty"`
	// ALPN is the protocol that the server chose, Offered those that it could choose from. "" is none.
	ALPN    string   `json:"alpn,omitempty"`
	Offered []string `json:"alpn_offered,omitempty"`
	// ServerName is the name that was asked for (SNI), "" for an address.
	ServerName string `json:"server_name,omitempty"`
	// Chain is what the server sent, its own certificate first.
	Chain []Certificate `json:"chain,omitempty"`
	// Trusted says that the chain leads to an authority that is trusted here, for this name and at this time. Reason says why
	// it does, or why not.
	Trusted bool   `json:"trusted"`
	Reason  string `json:"reason,omitempty"`
	// Insecure says that trust was not asked for.
	Insecure bool `json:"insecure,omitempty"`
	// ClientAsked says that the server asked for a client certificate, ClientSent that one was sent.
	ClientAsked bool `json:"client_certificate_asked,omitempty"`
	ClientSent  bool `json:"client_certificate_sent,omitempty"`
	// Alert is the alert by which the server ended the handshake. "" is none.
	Alert string `json:"alert,omitempty"`
	// Oldest is the TLS version that the server speaks when it speaks none of today's. "" is unknown.
	Oldest string `json:"oldest_version,omitempty"`
}

// Certificate is one certificate of a chain.
type Certificate struct {
	// Subject is whom it is for, Issuer who signed it: their common names, where they have one.
	Subject string `json:"subject"`
	Issuer  string `json:"issuer"`
	// Names are the DNS names and addresses that it is for.
	Names []string `json:"names,omitempty"`
	// NotBefore and NotAfter bound its validity.
	NotBefore time.Time `json:"not_before"`
	NotAfter  time.Time `json:"not_after"`
	// Key is the kind and size of its key: "ECDSA P-256". SHA256 is its fingerprint in hexadecimal.
	Key    string `json:"key"`
	SHA256 string `json:"sha256"`
	// CA says that it may sign others; SelfSigned that it signed itself.
	CA         bool `json:"ca,omitempty"`
	SelfSigned bool `json:"self_signed,omitempty"`
}

// Response is the head of an answer and the start of its body.
type Response struct {
	// Proto is the version as it stands in the status line, Status its code, Reason the words behind it.
	Proto  string `json:"proto"`
	Status int    `json:"status"`
	Reason string `json:"reason,omitempty"`
	// Header are the fields in the order of the wire, redacted.
	Header []Field `json:"header,omitempty"`
	// Body is the start of the body, at most 4 KiB, redacted. "" is none.
	Body string `json:"body,omitempty"`
	// FromProxy says that this is the proxy's answer to CONNECT and not the server's.
	FromProxy bool `json:"from_proxy,omitempty"`
}

// Field is one line of a head.
type Field struct {
	// Name is as it came. Value is trimmed.
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Values returns the values of a field, in any case of its name.
func (r *Response) Values(name string) []string {
	var values []string
	if r != nil {
		for _, f := range r.Header {
			if equalFold(f.Name, name) {
				values = append(values, f.Value)
			}
		}
	}
	return values
}

// Value returns the first value of a field, "" when there is none.
func (r *Response) Value(name string) string {
	if values := r.Values(name); len(values) > 0 {
		return values[0]
	}
	return ""
}

// Key is how a key becomes an accept value (RFC 6455 §4.2.2).
type Key struct {
	// Key is what was sent, Joined that with the GUID behind it, SHA1 the hash in hexadecimal, Want the hash in base64.
	Key    string `json:"key"`
	GUID   string `json:"guid"`
	Joined string `json:"joined"`
	SHA1   string `json:"sha1"`
	Want   string `json:"want"`
	// Got is what the server sent; "" when it sent none.
	Got  string `json:"got,omitempty"`
	Held bool   `json:"held"`
}

// Close is how a connection ended.
type Close struct {
	// By is "client" or "server": who sent its close frame first, or ended the connection without one.
	By string `json:"by"`
	// Code is that of the first close frame: 1005 when that had none, 1006 when no close frame came.
	Code   int    `json:"code"`
	Reason string `json:"reason,omitempty"`
	// Clean says that both sides sent a close frame.
	Clean bool `json:"clean"`
	// How says what ended the stream: "close frame", "FIN", "RST", "timeout".
	How string `json:"how"`
}

// OriginTry is a further handshake with another origin.
type OriginTry struct {
	// Origin is what it said. "" is that it had no Origin header.
	Origin string `json:"origin"`
	// Foreign says that it is another site's. Status is the answer's, 0 for none; Opened that it was a handshake.
	Foreign bool `json:"foreign,omitempty"`
	Status  int  `json:"status"`
	Opened  bool `json:"opened"`
}

// Idle is what an idle connection lived through.
type Idle struct {
	// Held is how long it was open in silence, Max how long it was allowed to be.
	Held Duration `json:"held_ms"`
	Max  Duration `json:"max_ms"`
	// Cut says that it ended before Max. How is "close frame", "FIN" or "RST" then, Code the close frame's; or "silence", when no
	// end was seen and a ping afterwards was not answered.
	Cut  bool   `json:"cut"`
	How  string `json:"how,omitempty"`
	Code int    `json:"code,omitempty"`
	// Pings is how often the server sent a ping meanwhile: then the connection was not silent.
	Pings int `json:"pings,omitempty"`
	// Suggest is the ping interval that keeps such a connection open. 0 when it was not cut.
	Suggest Duration `json:"suggested_ping_ms,omitempty"`
}

// Frame is a frame that went over the wire.
type Frame struct {
	// At counts from Report.Started. Sent is false for one that was received.
	At   Duration `json:"at_ms"`
	Sent bool     `json:"sent"`
	// Opcode is the RFC's name; Fin, RSV and Masked are the bits of the header.
	Opcode string `json:"opcode"`
	Fin    bool   `json:"fin"`
	RSV    int    `json:"rsv,omitempty"`
	Masked bool   `json:"masked,omitempty"`
	// Length is that of the payload on the wire. Inflated is that of the whole message, when it was compressed.
	Length   int64 `json:"length"`
	Inflated int64 `json:"inflated,omitempty"`
	// Compressed says that it belongs to a compressed message.
	Compressed bool `json:"compressed,omitempty"`
	// Preview is the start of what it says, redacted; bytes that are no text as hexadecimal.
	Preview string `json:"preview,omitempty"`
	// Code is a close frame's; 1005 when it has none.
	Code int `json:"code,omitempty"`
	// Error says what is wrong with it.
	Error string `json:"error,omitempty"`
}

// Finding is a fault that was seen.
type Finding struct {
	Fault Fault `json:"fault"`
	Stage Stage `json:"stage"`
	// Warning says that the connection opens all the same.
	Warning bool `json:"warning,omitempty"`
	// Clause is the rule that was broken. "" when no rule was.
	Clause string `json:"clause,omitempty"`
	// Detail is what was seen, in a sentence without secrets.
	Detail string `json:"detail"`
}

// Diagnosis says what a fault means and what to do about it.
type Diagnosis struct {
	// ID is the fault.
	ID Fault `json:"id"`
	// Cause is one sentence.
	Cause string `json:"cause"`
	// Clause is the rule that was broken. "" when no rule was.
	Clause string `json:"clause,omitempty"`
	// ForOwner is what the server's owner can do, ForClient what the client's author can; each element is a step or a line
	// of configuration. Empty: nothing.
	ForOwner  []string `json:"for_owner,omitempty"`
	ForClient []string `json:"for_client,omitempty"`
	// Evidence is what was seen that leads to this.
	Evidence []string `json:"evidence,omitempty"`
}
