package explain

import (
	"encoding/json"
	"strconv"
	"time"
)

// Report contains all observations. Its JSON form is stable: fields are added, never renamed. Durations are in milliseconds.
// Secrets are already redacted. The caller owns the report, which is safe to read concurrently.
type Report struct {
	// URL is the requested URL without secrets. Started is the start time by the clock of this machine.
	URL     string    `json:"url"`
	Started time.Time `json:"started"`
	// Duration is the total time.
	Duration Duration `json:"duration_ms"`
	// Opened means that the opening handshake followed every rule that a browser or a strict client applies.
	Opened bool `json:"opened"`

	// Target is the destination of the handshake. It is nil if the URL is not valid.
	Target *Target `json:"target,omitempty"`
	// Steps are the steps in chronological order.
	Steps []Step `json:"steps"`
	// Address is the address, host and port, to which the connection was opened. It is "" if there was none.
	Address string `json:"address,omitempty"`
	// TLS describes the TLS handshake, even if it failed. It is nil without TLS.
	TLS *TLS `json:"tls,omitempty"`
	// Response is the server's response, as far as it could be read, or the proxy's response if the proxy refused. It is nil if there was
	// none.
	Response *Response `json:"response,omitempty"`
	// Key is the computation of the accept value from the key. It is nil if no request was sent.
	Key *Key `json:"key,omitempty"`
	// Subprotocol and Extensions are the subprotocol and the extensions that the server chose. "" means none.
	Subprotocol string `json:"subprotocol,omitempty"`
	Extensions  string `json:"extensions,omitempty"`
	// Ping is the round-trip time of a ping. 0 means that no ping was answered.
	Ping Duration `json:"ping_ms,omitempty"`
	// Close describes how the connection ended. It is nil if the connection never opened.
	Close *Close `json:"close,omitempty"`
	// Origins are the additional handshakes with other origins, in order.
	Origins []OriginTry `json:"origins,omitempty"`
	// WithoutUpgrade is the status of the response to the same request without Upgrade, which is sent if Upgrade may not have reached the
	// server. 0 means that this request was not sent or was not answered.
	WithoutUpgrade int `json:"without_upgrade_status,omitempty"`
	// Idle is the result of the idle probe. It is nil if there was none.
	Idle *Idle `json:"idle,omitempty"`

	// Findings are the faults that were found: the decisive fault first, warnings last.
	Findings []Finding `json:"findings,omitempty"`
	// Diagnosis explains the decisive fault. It is nil if there is none.
	Diagnosis *Diagnosis `json:"diagnosis,omitempty"`
	// Warnings explain faults that did not prevent the connection from opening.
	Warnings []Diagnosis `json:"warnings,omitempty"`
}

// OK reports whether the connection opened and nothing failed afterwards. Warnings do not count.
func (r *Report) OK() bool { return r.Opened && r.Diagnosis == nil }

// Duration is a time.Duration whose JSON form is a number of milliseconds.
type Duration time.Duration

// MarshalJSON returns d in milliseconds with at most three decimals.
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

// String returns d with three digits and a unit.
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

// Stage is a stage of a run, from reading the URL to the end of the connection.
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
	StageAccept   Stage = "accept" // the check of the accept value
	StageAgreed   Stage = "agreed" // the check of the subprotocol and the extensions
	StagePing     Stage = "ping"
	StageEcho     Stage = "echo"
	StageWatch    Stage = "watch"
	StageIdle     Stage = "idle"
	StageClose    Stage = "close"
	StageOrigin   Stage = "origin" // an additional handshake with another origin
	StageProbe    Stage = "probe"  // an additional connection that investigates a failure
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
	// OK is false if the step failed. A step with a violated rule has failed.
	OK bool `json:"ok"`
	// Sent and Received are the sent and the received lines, redacted. Bytes that are not text are escaped.
	Sent     []Line `json:"sent,omitempty"`
	Received []Line `json:"received,omitempty"`
	// Facts contains other information about the step.
	Facts []Fact `json:"facts,omitempty"`
	// Rules are the rules that were checked in the step.
	Rules []Check `json:"rules,omitempty"`
	// Frames are the frames that were sent and received in the step.
	Frames []Frame `json:"frames,omitempty"`
}

// Line is a line that was sent or received, and its purpose.
type Line struct {
	// Text is the line without its end.
	Text string `json:"text"`
	// Note describes the purpose or the meaning of the line. It may be "".
	Note string `json:"note,omitempty"`
}

// Fact is a name and a value.
type Fact struct {
	// Name says what Value is, such as "host".
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Check is a rule that was checked.
type Check struct {
	// Clause is the source of the rule, such as "RFC 6455 §4.1". Text describes the rule in plain words.
	Clause string `json:"clause"`
	Text   string `json:"text"`
	Held   bool   `json:"held"`
	// Detail is what was observed. It may be "".
	Detail string `json:"detail,omitempty"`
}

// Target is the destination of a handshake, with the parts of the request that depend on the options.
type Target struct {
	// Secure means that the scheme is wss or https.
	Secure bool `json:"secure"`
	// Host is the name or the address without brackets. Port is the port number. Path is the path with the query, redacted.
	Host string `json:"host"`
	Port string `json:"port"`
	Path string `json:"path"`
	// Origin is the Origin header of the request. "" means that the request had none.
	Origin string `json:"origin,omitempty"`
	// HostHeader is the Host header of the request if the caller has set a Host that differs from the URL, otherwise "".
	HostHeader string `json:"host_header,omitempty"`
	// Proxy is the host and the port of the proxy. "" means none.
	Proxy string `json:"proxy,omitempty"`
	// Subprotocols are the offered subprotocols, redacted.
	Subprotocols []string `json:"subprotocols,omitempty"`
	// Credentials lists the kinds of credentials that were sent: "bearer", "basic", "cookie", "subprotocol", "query", "api-key", "client
	// certificate", "header". It never contains the credentials themselves.
	Credentials []string `json:"credentials,omitempty"`
}

// TLS describes a TLS handshake.
type TLS struct {
	// Version, Group and Suite are the names of the negotiated parameters, such as "TLS 1.3", "X25519MLKEM768" and
	// "TLS_AES_128_GCM_SHA256". "" means unknown.
	Version string `json:"version,omitempty"`
	Group   string `json:"group,omitempty"`
	Suite   string `json:"suite,omitempty"`
	// ALPN is the protocol that the server chose, or "" if it chose none. Offered lists the protocols that the client offered.
	ALPN    string   `json:"alpn,omitempty"`
	Offered []string `json:"alpn_offered,omitempty"`
	// ServerName is the name that the client sent (SNI). It is "" for an IP address.
	ServerName string `json:"server_name,omitempty"`
	// Chain contains the certificates that the server sent, beginning with the server's own.
	Chain []Certificate `json:"chain,omitempty"`
	// Trusted means that the chain is valid for the name and the time, and leads to a CA that this client trusts. Reason says why the
	// chain is, or is not, trusted.
	Trusted bool   `json:"trusted"`
	Reason  string `json:"reason,omitempty"`
	// Insecure means that verification was disabled.
	Insecure bool `json:"insecure,omitempty"`
	// ClientAsked means that the server requested a client certificate, and ClientSent that the client sent a certificate.
	ClientAsked bool `json:"client_certificate_asked,omitempty"`
	ClientSent  bool `json:"client_certificate_sent,omitempty"`
	// Alert is the TLS alert with which the server ended the connection. "" means none.
	Alert string `json:"alert,omitempty"`
	// Oldest is the TLS version that the server supports if it supports no current version. "" means that a current version is
	// supported, or that the version is unknown.
	Oldest string `json:"oldest_version,omitempty"`
}

// Certificate is one certificate of a chain.
type Certificate struct {
	// Subject and Issuer are the common names of the owner and of the issuer, or other names if they have no common name.
	Subject string `json:"subject"`
	Issuer  string `json:"issuer"`
	// Names are the DNS names and IP addresses for which the certificate is valid.
	Names []string `json:"names,omitempty"`
	// NotBefore and NotAfter limit the validity period.
	NotBefore time.Time `json:"not_before"`
	NotAfter  time.Time `json:"not_after"`
	// Key is the type and the size of the key, such as "ECDSA P-256". SHA256 is the fingerprint of the certificate in hexadecimal.
	Key    string `json:"key"`
	SHA256 string `json:"sha256"`
	// CA means that the certificate may sign other certificates. SelfSigned means that it is signed with its own key.
	CA         bool `json:"ca,omitempty"`
	SelfSigned bool `json:"self_signed,omitempty"`
}

// Response is the header of a response and the beginning of its body.
type Response struct {
	// Proto, Status and Reason are the version, the status code and the reason phrase in the status line.
	Proto  string `json:"proto"`
	Status int    `json:"status"`
	Reason string `json:"reason,omitempty"`
	// Header contains the fields in the received order, redacted.
	Header []Field `json:"header,omitempty"`
	// Body is the beginning of the body, at most 4 KiB, redacted. "" means none.
	Body string `json:"body,omitempty"`
	// FromProxy means that this is the proxy's response to CONNECT rather than a response of the server.
	FromProxy bool `json:"from_proxy,omitempty"`
}

// Field is one field line of a header.
type Field struct {
	// Name is the name as received or sent. Value has no surrounding white space.
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Values returns the values of all fields with a name. The case of the name is ignored.
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

// Value returns the first value of a field, or "" if there is none.
func (r *Response) Value(name string) string {
	if values := r.Values(name); len(values) > 0 {
		return values[0]
	}
	return ""
}

// Key is the computation of an accept value from a key (RFC 6455 §4.2.2).
type Key struct {
	// Key is the key that was sent, and Joined is the key followed by GUID. SHA1 and Want are the SHA-1 hash of Joined in hexadecimal and
	// in base64.
	Key    string `json:"key"`
	GUID   string `json:"guid"`
	Joined string `json:"joined"`
	SHA1   string `json:"sha1"`
	Want   string `json:"want"`
	// Got is the server's accept value; "" if there was none. Held means that Got is correct.
	Got  string `json:"got,omitempty"`
	Held bool   `json:"held"`
}

// Close describes how a connection ended.
type Close struct {
	// By is "client" or "server": the side that sent the first close frame, or ended the connection without a close frame.
	By string `json:"by"`
	// Code is the code of the first close frame: 1005 if the frame had none, 1006 if there was no close frame.
	Code   int    `json:"code"`
	Reason string `json:"reason,omitempty"`
	// Clean means that both sides sent a close frame.
	Clean bool `json:"clean"`
	// How is what ended the connection: "close frame", "FIN", "RST" or "timeout".
	How string `json:"how"`
}

// OriginTry is an additional handshake with another origin.
type OriginTry struct {
	// Origin is the origin that was sent. "" means that the request had no Origin header.
	Origin string `json:"origin"`
	// Foreign means that the origin is that of another site. Status is the status of the response, or 0 if there was none. Opened means
	// that the handshake succeeded.
	Foreign bool `json:"foreign,omitempty"`
	Status  int  `json:"status"`
	Opened  bool `json:"opened"`
}

// Idle is the result of the idle probe.
type Idle struct {
	// Held is how long the connection stayed open in silence, and Max is the time limit of the probe.
	Held Duration `json:"held_ms"`
	Max  Duration `json:"max_ms"`
	// Cut means that the connection ended before Max. How is then "close frame", with its code in Code, "FIN" or "RST"; or "silence" if no
	// end was observed, but a ping after Max was not answered.
	Cut  bool   `json:"cut"`
	How  string `json:"how,omitempty"`
	Code int    `json:"code,omitempty"`
	// Pings is the number of pings that the server sent during the probe. If it is not 0, the connection was not silent.
	Pings int `json:"pings,omitempty"`
	// Suggest is a ping interval that keeps the connection open. It is 0 if no end was observed.
	Suggest Duration `json:"suggested_ping_ms,omitempty"`
}

// Frame is a frame that was sent or received.
type Frame struct {
	// At is the time relative to Report.Started. Sent is false for a received frame.
	At   Duration `json:"at_ms"`
	Sent bool     `json:"sent"`
	// Opcode is the name of the opcode in RFC 6455, or "none" for bytes that are not a frame. Fin, RSV and Masked are bits of the header.
	Opcode string `json:"opcode"`
	Fin    bool   `json:"fin"`
	RSV    int    `json:"rsv,omitempty"`
	Masked bool   `json:"masked,omitempty"`
	// Length is the length of the payload as transmitted. Inflated is the length of the inflated message, in the last frame of a
	// compressed message.
	Length   int64 `json:"length"`
	Inflated int64 `json:"inflated,omitempty"`
	// Compressed means that the frame is part of a compressed message.
	Compressed bool `json:"compressed,omitempty"`
	// Preview is the beginning of the payload or of the inflated message, redacted. Data that is not text is in hexadecimal.
	Preview string `json:"preview,omitempty"`
	// Code is the code of a close frame; 1005 if the frame has none.
	Code int `json:"code,omitempty"`
	// Error describes the error in the frame. "" means that the frame is valid.
	Error string `json:"error,omitempty"`
}

// Finding is a fault that was found.
type Finding struct {
	Fault Fault `json:"fault"`
	Stage Stage `json:"stage"`
	// Warning means that the fault does not prevent the connection from opening.
	Warning bool `json:"warning,omitempty"`
	// Clause is the violated rule. "" if there is none.
	Clause string `json:"clause,omitempty"`
	// Detail describes the observation, without secrets.
	Detail string `json:"detail"`
}

// Diagnosis explains a fault and what to do about it.
type Diagnosis struct {
	// ID identifies the fault.
	ID Fault `json:"id"`
	// Cause describes the cause on one line.
	Cause string `json:"cause"`
	// Clause is the violated rule. "" if there is none.
	Clause string `json:"clause,omitempty"`
	// ForOwner contains what the server's owner can do, and ForClient what the client's author can do. Each element is a step or a line of
	// configuration. Both may be empty.
	ForOwner  []string `json:"for_owner,omitempty"`
	ForClient []string `json:"for_client,omitempty"`
	// Evidence are the observations that lead to the diagnosis.
	Evidence []string `json:"evidence,omitempty"`
}
