package observe

import (
	"cmp"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

var rewrite = flag.Bool("rewrite", false, "write docs/metrics.md again")

// document is the reference of metrics, log events and attributes.
const document = "../docs/metrics.md"

const intro = `# Metrics, logs and audit lines

This page lists every metric of ` + "`handfast`" + `, every event and field of its log, and every line of its audit log. ` + "`go generate ./observe`" + `
generates the page from the code, and a test checks that the page is up to date.

Metrics are at ` + "`/metrics`" + ` of the [admin listener](config.md#admin), in Prometheus' text format:

` + "```yaml" + `
admin: {address: "127.0.0.1:9090"}
` + "```" + `

Counters begin at 0 when the process starts. A part that is not configured (channels, webhooks, servers behind the balancer) has no series,
and the series of an outcome exists once that outcome has occurred. The metrics ` + "`go_*` and `process_*`" + ` of the Prometheus client for Go
describe the Go runtime and the process.

## What to watch

| problem | query |
|---|---|
| clients that cannot connect | ` + "`sum by (stage, status) (rate(handfast_handshakes_refused_total[5m]))`" + ` |
| connections that are lost | ` + "`rate(handfast_connections_closed_total{code=\"1006\"}[5m])`" + ` |
| clients that read too slowly | ` + "`rate(handfast_connections_closed_total{code=\"1013\"}[5m])`, `rate(handfast_channel_slow_total[5m])`" + ` |
| slow authentication | ` + "`histogram_quantile(0.99, sum by (le, method) (rate(handfast_auth_duration_seconds_bucket[5m])))`" + ` |
| a certificate that is about to expire | ` + "`handfast_certificate_expiry_timestamp_seconds - time() < 7 * 86400`" + ` |
| channels that do not work | ` + "`handfast_engine_ready == 0`" + ` |
| a configuration that could not be loaded | ` + "`increase(handfast_config_reloads_total{outcome=\"failed\"}[1h]) > 0`" + ` |
| an incomplete audit log | ` + "`increase(handfast_audit_lines_lost_total[1h]) > 0`" + ` |

`

// labels has the meaning of each label.
var labels = map[string]string{
	"app":         "the application's ID",
	"certificate": "the file of the certificate; with ACME, the host that the certificate is for",
	"change":      "`join`, `leave`",
	"code":        "the close code; codes from 3000 on are counted as `3xxx` and `4xxx`, except for the codes that the server itself sends",
	"direction":   "`in` is from clients and `out` is to clients; in the metrics `handfast_server_*`, `in` is to the server and `out` is from the server",
	"endpoint":    "the endpoint's name; empty for handshakes that reached no endpoint",
	"go":          "the version of Go",
	"limit":       "the setting that the client exceeded: `messages_per_second`, `bytes_per_second`",
	"method":      "the name of the authentication method in the configuration; `none` if no method identified the client",
	"namespace":   "the name of a namespace of channels",
	"outcome":     "the outcome of an authentication (`known`, the status of a refusal, or `refused`), of a reload (`done`, `failed`), of a recovery (`recovered`, `failed`), of a recheck of a session (`refused`, `unknown`), of a webhook event (`sent`, `failed`, `dropped`), of an admission (`admitted`, `refused`), or of a handshake with a server (`ok`, `unreachable`, `failed handshake`)",
	"priority":    "`new`, `resuming`",
	"server":      "the server's address",
	"session":     "`new`, `resumed`",
	"stage":       "the stage of the handshake, as in the log",
	"state":       "`ready`, `full`, `ejected`, `draining`, `down`, `removed`",
	"status":      "the status of the response; 0 if there was no response",
	"version":     "the version of the program",
	"webhook":     "the position of the webhook in the configuration, from 0",
}

// allMetrics returns metrics in which each metric has a series.
func allMetrics() *Metrics {
	chat := NewEndpoint("chat")
	chat.Closed(1000)
	chat.Refused("check", 401)
	chat.Limited("messages_per_second")
	one := func() float64 { return 1 }
	m := NewMetrics(Live{
		Pending: one, AuthCalls: one, Certificates: func() map[string]float64 { return map[string]float64{"a.pem": 1} },
		Endpoints: func() []Traffic { return []Traffic{{Endpoint: chat}} },
		Channels: func() *Channels {
			return &Channels{Namespaces: []Namespace{{Name: "*"}}, Webhooks: []Webhook{{App: "shop", Number: "0"}}}
		},
		Upstreams: func() []Upstream {
			return []Upstream{{Endpoint: "chat", Server: "a:1", Closed: map[int]uint64{1000: 1}}}
		},
		Admissions: func() []Admission { return []Admission{{Endpoint: "chat"}} },
	})
	m.Auth.WithLabelValues("jwt", "known").Observe(1)
	m.Reloads.WithLabelValues("done").Inc()
	m.TLS.WithLabelValues("new").Inc()
	m.Rechecks.WithLabelValues("refused").Inc()
	m.Tried("chat", "a:1", "ok", time.Second)
	return m
}

// metricsTable returns a table of the metrics that allMetrics returns.
func metricsTable(t *testing.T) string {
	t.Helper()
	families, err := allMetrics().registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	used := map[string]bool{}
	b.WriteString("## Metrics\n\n| metric | type | labels | |\n|---|---|---|---|\n")
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), namespace) {
			continue
		}
		var names []string
		for _, l := range f.GetMetric()[0].GetLabel() {
			names = append(names, "`"+l.GetName()+"`")
			used[l.GetName()] = true
		}
		help := f.GetHelp()
		if h := f.GetMetric()[0].GetHistogram(); h != nil {
			var bounds []string
			for _, bucket := range h.GetBucket() {
				bounds = append(bounds, strconv.FormatFloat(bucket.GetUpperBound(), 'f', -1, 64))
			}
			help += " Buckets: " + strings.Join(bounds, ", ") + "."
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", f.GetName(), strings.ToLower(f.GetType().String()), strings.Join(names, ", "), help)
	}
	b.WriteString("\n| label | value |\n|---|---|\n")
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		if !used[name] {
			t.Errorf("no metric has the label %s", name)
		}
		delete(used, name)
		fmt.Fprintf(&b, "| `%s` | %s |\n", name, labels[name])
	}
	for name := range used {
		t.Errorf("the label %s is not in the table of labels", name)
	}
	return b.String() + "\n"
}

// constant is a constant in events.go.
type constant struct{ name, value, meaning string }

// constants returns the constants whose names begin with prefix, in their order.
func constants(t *testing.T, prefix string) (all []constant) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "events.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || !strings.HasPrefix(spec.Names[0].Name, prefix) {
			return true
		}
		c := constant{name: spec.Names[0].Name, meaning: strings.TrimSpace(spec.Comment.Text())}
		if c.value, err = strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value); err != nil || c.meaning == "" {
			t.Errorf("%s has no trailing comment with its meaning", c.name)
		}
		all = append(all, c)
		return true
	})
	if len(all) < 5 {
		t.Fatalf("%d names begin with %s", len(all), prefix)
	}
	return all
}

func table(head string, all []constant) string {
	var b strings.Builder
	fmt.Fprintf(&b, "| %s | |\n|---|---|\n", head)
	for _, c := range all {
		fmt.Fprintf(&b, "| `%s` | %s |\n", c.value, c.meaning)
	}
	return b.String() + "\n"
}

// The reference matches the code; "go generate ./observe" updates it.
func TestReference(t *testing.T) {
	keys := constants(t, "Key")
	slices.SortFunc(keys, func(a, b constant) int { return cmp.Compare(a.value, b.value) })
	text := intro + metricsTable(t) +
		"## Log\n\nA line has a time, a level, the event as `msg`, and fields. `log.format: json` writes a JSON object per line, with the same names. " +
		"The log contains no credentials.\n\n" + table("event", constants(t, "Event")) + "### Fields\n\n" + table("field", keys) +
		"## Audit log\n\nThe audit log is a separate stream, configured by [`audit`](config.md#audit), with the fields above. Empty fields are omitted. " +
		"An endpoint with the target `balance` has one line for each connection, when it ends.\n\n" + table("event", constants(t, "Audit"))
	if *rewrite {
		if err := os.WriteFile(document, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(document); err != nil || string(got) != text {
		t.Errorf("%s is out of date (%v): run go generate ./observe", document, err)
	}
}

// descriptionOf returns the only description of a collector.
func descriptionOf(c prometheus.Collector) *prometheus.Desc {
	ch := make(chan *prometheus.Desc, 1)
	c.Describe(ch)
	return <-ch
}

// Every metric that a collector describes is in the reference.
func TestEveryMetricHasASeries(t *testing.T) {
	families, err := allMetrics().registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]bool{}
	for _, f := range families {
		shown[f.GetName()] = true
	}
	check := func(d *prometheus.Desc) {
		_, name, _ := strings.Cut(d.String(), `fqName: "`)
		if name, _, _ = strings.Cut(name, `"`); !shown[name] {
			t.Errorf("%s has no series", name)
		}
	}
	found := 0
	for _, c := range []any{newChannels(nil), newUpstreams(nil), newAdmissions(nil), newEndpoints(nil), newLive(Live{})} {
		v := reflect.ValueOf(c).Elem()
		for i := range v.NumField() {
			if v.Field(i).Type() != reflect.TypeFor[*prometheus.Desc]() {
				continue
			}
			found++
			check((*prometheus.Desc)(v.Field(i).UnsafePointer()))
		}
	}
	for _, c := range []any{NewMetrics(Live{}), NewEndpoint("chat")} { // metrics with labels have no series before the first event
		v := reflect.ValueOf(c).Elem()
		for i := range v.NumField() {
			var desc *prometheus.Desc
			switch field := v.Field(i); field.Type() {
			case reflect.TypeFor[*prometheus.CounterVec]():
				desc = descriptionOf((*prometheus.CounterVec)(field.UnsafePointer()))
			case reflect.TypeFor[*prometheus.HistogramVec]():
				desc = descriptionOf((*prometheus.HistogramVec)(field.UnsafePointer()))
			default:
				continue
			}
			found++
			check(desc)
		}
	}
	if found < 36 {
		t.Errorf("%d metrics are described", found)
	}
}

// The attributes that the reference lists for an event of the audit log are written for that event.
func TestAuditFields(t *testing.T) {
	keys := map[string]string{} // the names of constants by their values
	for _, c := range constants(t, "Key") {
		keys[c.value] = c.name
	}
	written := map[string]map[string]bool{} // the constants that each function uses with an event
	files, err := filepath.Glob("../gateway/*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			names := map[string]bool{}
			ast.Inspect(d, func(n ast.Node) bool {
				if s, ok := n.(*ast.SelectorExpr); ok && fmt.Sprint(s.X) == "observe" {
					names[s.Sel.Name] = true
				}
				return true
			})
			for event := range names {
				if written[event] == nil {
					written[event] = map[string]bool{}
				}
				maps.Copy(written[event], names)
			}
		}
	}
	elsewhere := map[string]string{ // attributes that a called function adds
		"AuditConnected":    "KeyPath KeyDecision KeyRule",
		"AuditDisconnected": "KeyLimit",
		"AuditTicket":       "KeyUser KeyMethod KeyAddr KeyOrigin KeyPath KeyStatus",
		"AuditLogout":       "KeyUser KeyMethod KeyAddr KeyOrigin KeyPath KeyStatus",
	}
	for _, c := range constants(t, "Audit") {
		_, fields, ok := strings.Cut(c.meaning, ": ")
		if !ok {
			t.Errorf("%s lists no fields", c.name)
		}
		for field := range strings.SplitSeq(fields, ", ") {
			if key := keys[field]; key == "" || !written[c.name][key] && !slices.Contains(strings.Fields(elsewhere[c.name]), key) {
				t.Errorf("%s has no field %q", c.name, field)
			}
		}
	}
}
