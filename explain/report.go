package explain

import (
	"encoding/json"
	"strconv"
	"time"
)

// Report contains all observations. Its JSON form is stable: fields are added, never renamed. Times are in milliseconds; secrets
// are already redacted. The caller owns it, and it is safe to read concurrently.
type Report struct {
	// URL is the requested URL, without its secrets. Started is the start time, by this machine's clock.
	URL     string    `json:"url"`
	Started time.Time `json:"started"`
	// Duration is the total time.
	Duration Duration `json:"duration_ms"`
	// Opened means that the opening handshake succeeded by every rule that a browser, or a strict client, applies.
	Opened bool `json:"opened"`

	// Target is the destination of the handshake. nil if the URL is not valid.
	Target *Target `json:"target,omitempty"`
	// Steps are the steps in chronological order.
	Steps []Step `json:"steps"`
	// Address is the address connected to, host and port; "" if there was no connection.
	Address string `json:"address,omitempty"`
	// TLS describes the TLS handshake, even if it failed. nil without TLS.
	TLS *TLS `json:"tls,omitempty"`
	// Response is the header of the server's response, as far as it could be read, or of the proxy's if the proxy refused.
	Response *Response `json:"response,omitempty"`
	// Key is the computation of the accept value from the key. nil if no request was sent.
	Key *Key `json:"key,omitempty"`
	// Subprotocol and Extensions are those that the server chose. "" means none.
	Subprotocol string `json:"subprotocol,omitempty"`
	Extensions  string `json:"extensions,omitempty"`
	// Ping is the round-trip time of a ping. 0 means none was answered.
	Ping Duration `json:"ping_ms,omitempty"`
	// Close describes how the connection ended. nil if it never opened.
	Close *Close `json:"close,omitempty"`
	// Origins are the additional handshakes with other origins, in order.
	Origins []OriginTry `json:"origins,omitempty"`
	// WithoutUpgrade is the status of the response to the same request without Upgrade, which is sent if the upgrade may not have
	// reached the server. 0 means that it was not sent, or got no response.
	WithoutUpgrade int `json:"without_upgrade_status,omitempty"`
	// Idle is the result of the idle probe. nil if there was none.
	Idle *Idle `json:"idle,omitempty"`

	// Findings are the faults found: the decisive one first, warnings last.
	Findings []Finding `json:"findings,omitempty"`
	// Diagnosis explains the decisive fault. nil if there is none.
	Diagnosis *Diagnosis `json:"diagnosis,omitempty"`
	// Warnings explain faults that did not prevent the connection from opening.
	Warnings []Diagnosis `json:"warnings,omitempty"`
}

// OK reports whether the connection opened and nothing failed afterwards. Warnings do not count.
func (r *Report) OK() bool { return r.Opened && r.Diagnosis == nil }

// Duration is a time.Duration whose JSON form is a number of milliseconds.
type Duration time.Duration

// MarshalJSON writes d in milliseconds with three decimals at most.
func (d Duration) MarshalJSON() ([]byte, error) {
	us := time.Duration(d).Round(time.Microsecond).Microseconds()
	return strconv.AppendFloat(nil, float64(us)/1000, 'f', -1, 64), nil
}

// UnmarshalJSON parses the output of MarshalJSON.
func (d *Duration) UnmarshalJSON(b []byte) error {
	var ms float64
	if err := json.Unmarshal(b, &ms); err != nil {
		return err
	}
	*d = Duration(ms * float64(time.Millisecond))
	return nil
}

// String formats d for people: three digits and a unit.
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

// Stage is a stage from a URL to an open connection, or until its end.
type Stage string

// The stages, in order.
const (
	StageURL      Stage = "url"
	StageDNS      Stage = "dns"
	StageTCP      Stage = "tcp"
	StageProxy    Stage = "proxy"
	StageTLS      Stage = "tls"
	StageRequest  Stage = "request"
	StageResponse Stage = "response"
	StageAccept   Stage = "accept" // the computation of the accept value
	StageAgreed   Stage = "agreed" // subprotocol and extensions
	StagePing     Stage = "ping"
	StageEcho     Stage = "echo"
	StageWatch    Stage = "watch"
	StageIdle     Stage = "idle"
	StageClose    Stage = "close"
	StageOrigin   Stage = "origin" // an additional handshake with another origin
	StageProbe    Stage = "probe"  // an additional connection, to find out the reason for a failure
)

// Step is one step and its result.
type Step struct {
	Stage Stage `json:"stage"`
	// Title briefly describes the step, and Result its result.
	Title  string `json:"title"`
	Result string `json:"result,omitempty"`
	// Start is relative to Report.Started.
	Start    Duration `json:"start_ms"`
	Duration Duration `json:"duration_ms"`
	// OK is false for a failed step. A violated rule fails its step.
	OK bool `json:"ok"`
	// Sent and Received are the lines sent and received, redacted; bytes that are not text are escaped.
	Sent     []Line `json:"sent,omitempty"`
	Received []Line `json:"received,omitempty"`
	// Facts are other information about the step.
	Facts []Fact `json:"facts,omitempty"`
	// Rules are the clauses that apply here.
	Rules []Check `json:"rules,omitempty"`
	// Frames are the frames of this step.
	Frames []Frame `json:"frames,omitempty"`
}

// Line is a line that was sent or received, and its purpose.
type Line struct {
	// Text is the line without its end.
	Text string `json:"text"`
	// Note describes its purpose or meaning. "" means there is none.
	Note string `json:"note,omitempty"`
}

// Fact is a name and a value.
type Fact struct {
	// Name is the name, Value the value.
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Check is a rule that was checked.
type Check struct {
	// Clause is the source of the rule, such as "RFC 6455 §4.1". Text describes it in plain words.
	Clause string `json:"clause"`
	Text   string `json:"text"`
	Held   bool   `json:"held"`
	// Detail is the observation.
	Detail string `json:"detail,omitempty"`
}

// Target is the destination of a URL.
type Target struct {
	// Secure means wss.
	Secure bool `json:"secure"`
	// Host is the name without brackets, Port a number, Path the path and the query, redacted.
	Host string `json:"host"`
	Port string `json:"port"`
	Path string `json:"path"`
	// Origin is the Origin header of the request. "" means it had none.
	Origin string `json:"origin,omitempty"`
	// HostHeader is the Host header of the request if the caller has set one that differs from the URL. "" means that it is the
	// URL's.
	HostHeader string `json:"host_header,omitempty"`
	// Proxy is the proxy's address, host and port. "" means none.
	Proxy string `json:"proxy,omitempty"`
	// Subprotocols are the offered ones, redacted.
	Subprotocols []string `json:"subprotocols,omitempty"`
	// Credentials are the kinds of credentials sent: "bearer", "basic", "cookie", "subprotocol", "query", "api-key", "client
	// certificate", "header". It never contains a value.
	Credentials []string `json:"credentials,omitempty"`
}

// TLS describes a TLS handshake.
type TLS struct {
	// Version, Group and Suite are names, such as "TLS 1.3", "X25519MLKEM768", "TLS_AES_128_GCM_SHA256". "" means unknown.
	Version string `json:"version,omitempty"`
	Group   string `json:"group,omitempty"`
	Suite   string `json:"suite,omitempty"`
	// ALPN is the protocol that the server chose, Offered are those that the client offered. "" means none.
	ALPN    string   `json:"alpn,omitempty"`
	Offered []string `json:"alpn_offered,omitempty"`
	// ServerName is the requested name (SNI), "" for an address.
	ServerName string `json:"server_name,omitempty"`
	// Chain are the certificates that the server sent, its own first.
	Chain []Certificate `json:"chain,omitempty"`
	// Trusted means that the chain leads to a CA that is trusted here, for this name and at this time. Reason describes why it
	// does, or why not.
	Trusted bool   `json:"trusted"`
	Reason  string `json:"reason,omitempty"`
	// Insecure means that verification was disabled.
	Insecure bool `json:"insecure,omitempty"`
	// ClientAsked means that the server requested a client certificate, ClientSent that one was sent.
	ClientAsked bool `json:"client_certificate_asked,omitempty"`
	ClientSent  bool `json:"client_certificate_sent,omitempty"`
	// Alert is the alert with which the server ended the handshake. "" means none.
	Alert string `json:"alert,omitempty"`
	// Oldest is the TLS version of a server that supports no current version. "" means unknown.
	Oldest string `json:"oldest_version,omitempty"`
}

// Certificate is one certificate of a chain.
type Certificate struct {
	// Subject is the owner, Issuer the signer: their common names, if they have one.
	Subject string `json:"subject"`
	Issuer  string `json:"issuer"`
	// Names are its DNS names and addresses.
	Names []string `json:"names,omitempty"`
	// NotBefore and NotAfter limit its validity.
	NotBefore time.Time `json:"not_before"`
	NotAfter  time.Time `json:"not_after"`
	// Key is the type and size of its key: "ECDSA P-256". SHA256 is its fingerprint in hexadecimal.
	Key    string `json:"key"`
	SHA256 string `json:"sha256"`
	// CA means that it may sign others; SelfSigned that it is signed with its own key.
	CA         bool `json:"ca,omitempty"`
	SelfSigned bool `json:"self_signed,omitempty"`
}

// Response is the header of a response and the beginning of its body.
type Response struct {
	// Proto is the version on the status line, Status its code, Reason the reason phrase.
	Proto  string `json:"proto"`
	Status int    `json:"status"`
	Reason string `json:"reason,omitempty"`
	// Header are the fields in the received order, redacted.
	Header []Field `json:"header,omitempty"`
	// Body is the beginning of the body, at most 4 KiB, redacted. "" means none.
	Body string `json:"body,omitempty"`
	// FromProxy means that this is the proxy's response to CONNECT, rather than the server's.
	FromProxy bool `json:"from_proxy,omitempty"`
}

// Field is one field line of a header.
type Field struct {
	// Name is unchanged. Value is trimmed.
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Values returns the values of a field. The case of its name is ignored.
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

// Value returns the first value of a field, "" if there is none.
func (r *Response) Value(name string) string {
	if values := r.Values(name); len(values) > 0 {
		return values[0]
	}
	return ""
}

// Key is the computation of an accept value from a key (RFC 6455 §4.2.2).
type Key struct {
	// Key was sent, Joined is Key followed by the GUID, SHA1 the hash in hexadecimal, Want the hash in base64.
	Key    string `json:"key"`
	GUID   string `json:"guid"`
	Joined string `json:"joined"`
	SHA1   string `json:"sha1"`
	Want   string `json:"want"`
	// Got is the server's value; "" if there was none.
	Got  string `json:"got,omitempty"`
	Held bool   `json:"held"`
}

// Close describes how a connection ended.
type Close struct {
	// By is "client" or "server": the side that sent its close frame first, or ended the connection without one.
	By string `json:"by"`
	// Code is that of the first close frame: 1005 if it had none, 1006 if there was no close frame.
	Code   int    `json:"code"`
	Reason string `json:"reason,omitempty"`
	// Clean means that both sides sent a close frame.
	Clean bool `json:"clean"`
	// How is what ended the stream: "close frame", "FIN", "RST", "timeout".
	How string `json:"how"`
}

// OriginTry is an additional handshake with another origin.
type OriginTry struct {
	// Origin is the origin sent. "" means that there was no Origin header.
	Origin string `json:"origin"`
	// Foreign means that the origin is that of another site. Status is the response's, 0 if there was none; Opened means that the
	// handshake succeeded.
	Foreign bool `json:"foreign,omitempty"`
	Status  int  `json:"status"`
	Opened  bool `json:"opened"`
}

// Idle is the result of the idle probe.
type Idle struct {
	// Held is how long the connection was open in silence, Max the time limit.
	Held Duration `json:"held_ms"`
	Max  Duration `json:"max_ms"`
	// Cut means that it ended before Max. How is then "close frame", "FIN" or "RST", and Code that of the close frame; or How is
	// "silence", if no end was observed and a ping afterwards was not answered.
	Cut  bool   `json:"cut"`
	How  string `json:"how,omitempty"`
	Code int    `json:"code,omitempty"`
	// Pings is the number of pings that the server sent meanwhile: if there were any, the connection was not silent.
	Pings int `json:"pings,omitempty"`
	// Suggest is the ping interval that keeps such a connection open. 0 if it was not cut.
	Suggest Duration `json:"suggested_ping_ms,omitempty"`
}

// Frame is a frame that was sent or received.
type Frame struct {
	// At is relative to Report.Started. Sent is false for a received frame.
	At   Duration `json:"at_ms"`
	Sent bool     `json:"sent"`
	// Opcode is its name in the RFC; Fin, RSV and Masked are the bits of the header.
	Opcode string `json:"opcode"`
	Fin    bool   `json:"fin"`
	RSV    int    `json:"rsv,omitempty"`
	Masked bool   `json:"masked,omitempty"`
	// Length is that of the payload as transmitted. Inflated is that of the whole message, if it was compressed.
	Length   int64 `json:"length"`
	Inflated int64 `json:"inflated,omitempty"`
	// Compressed means that it is part of a compressed message.
	Compressed bool `json:"compressed,omitempty"`
	// Preview is the beginning of its content, redacted; bytes that are not text are in hexadecimal.
	Preview string `json:"preview,omitempty"`
	// Code is that of a close frame; 1005 if it has none.
	Code int `json:"code,omitempty"`
	// Error describes the error in the frame.
	Error string `json:"error,omitempty"`
}

// Finding is a fault that was found.
type Finding struct {
	Fault Fault `json:"fault"`
	Stage Stage `json:"stage"`
	// Warning means that the connection opens nevertheless.
	Warning bool `json:"warning,omitempty"`
	// Clause is the violated rule. "" if there is none.
	Clause string `json:"clause,omitempty"`
	// Detail is the observation, in a sentence without secrets.
	Detail string `json:"detail"`
}

// Diagnosis explains a fault and what to do about it.
type Diagnosis struct {
	// ID is the fault.
	ID Fault `json:"id"`
	// Cause is a single sentence.
	Cause string `json:"cause"`
	// Clause is the violated rule. "" if there is none.
	Clause string `json:"clause,omitempty"`
	// ForOwner is what the server's owner can do, ForClient what the client's author can do; each element is a step or a line of
	// configuration. They are empty if there is nothing to do.
	ForOwner  []string `json:"for_owner,omitempty"`
	ForClient []string `json:"for_client,omitempty"`
	// Evidence are the observations that lead to the diagnosis.
	Evidence []string `json:"evidence,omitempty"`
}
