package handfast_test

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// figure is a number in a document.
type figure struct {
	text  string
	value float64
}

// follows checks that the figure is the computed value, rounded to the figure's significant digits.
func (f figure) follows(t *testing.T, what string, computed float64) {
	t.Helper()
	digits := len(strings.Trim(strings.NewReplacer(",", "", ".", "").Replace(f.text), "0"))
	if got, want := strconv.FormatFloat(f.value, 'e', digits-1, 64), strconv.FormatFloat(computed, 'e', digits-1, 64); got != want {
		t.Errorf("%s: got %s, want %.4g", what, f.text, computed)
	}
}

// sheet is a document whose figures depend on each other.
type sheet struct {
	t    *testing.T
	text string
}

// figures returns the figures at each # of the only passage that matches a regular expression.
func (s sheet) figures(passage string) []figure {
	s.t.Helper()
	all := regexp.MustCompile(strings.ReplaceAll(passage, "#", `(\d[\d,]*(?:\.\d+)?)`)).FindAllStringSubmatch(s.text, -1)
	if len(all) != 1 {
		s.t.Fatalf("got %d passages that match %q, want 1", len(all), passage)
	}
	var found []figure
	for _, text := range all[0][1:] {
		value, err := strconv.ParseFloat(strings.ReplaceAll(text, ",", ""), 64)
		if err != nil {
			s.t.Fatal(err)
		}
		found = append(found, figure{text, value})
	}
	return found
}

// inputs returns the values of figures.
func (s sheet) inputs(passage string) (values []float64) {
	s.t.Helper()
	for _, f := range s.figures(passage) {
		values = append(values, f.value)
	}
	return values
}

// The figures in docs/scaling.md that follow from other figures there are correct: the plan for ten million connections, the
// duration of a drain, and the rate of handshakes.
func TestScalingPlan(t *testing.T) {
	source, err := os.ReadFile("docs/scaling.md")
	if err != nil {
		t.Fatal(err)
	}
	s := sheet{t, strings.Join(strings.Fields(string(source)), " ")}
	const total, kib, gb, micro = 10e6, 1 << 10, 1e9, 1e-6
	if !strings.Contains(s.text, "## Ten million connections") {
		t.Fatal("the document has no plan for ten million connections")
	}
	serverKiB := s.inputs(`memory of the process \| [^|]*about # to # KiB with channels`)[1]
	serverKernel := s.inputs(`memory of the kernel \| # to # KiB for an idle socket`)[1]
	opening := s.inputs(`CPU time for opening the connection \| about # µs without TLS, about # µs with it`)
	descriptors := s.inputs(`descriptors \| # \| \| memory of the process \| about # KiB; # KiB if the client uses TLS`)
	balancerKiB := descriptors[2]
	balancerKernel := s.inputs(`two sockets, # to # KiB while idle`)[1]
	message := s.inputs(`CPU for a message of 128 B, in both directions \| about # µs`)[0] / 2
	ports := s.inputs(`Linux has # ports`)[0]
	handshake := s.inputs(`costs the balancer about # µs of CPU time, and a server with TLS # µs`)
	if handshake[1] != opening[1] {
		t.Errorf("handshake of a server with TLS: got %v µs and %v µs, want the same", opening[1], handshake[1])
	}

	rate := s.figures(`one core handles about # to # a second`)
	rate[0].follows(t, "handshakes of a server with TLS a second", 1/(handshake[1]*micro))
	rate[1].follows(t, "handshakes of a balancer a second", 1/(handshake[0]*micro))
	drain := s.figures(`closes the connections to A at # a second.*For # clients this takes # s\.`)
	drain[2].follows(t, "seconds of a drain", drain[1].value/drain[0].value)

	row := s.figures("`handfast balance`, # cores, # GiB \\| # connections: # GB in the process, # GB in the kernel; # million descriptors; # of # ports for each server " +
		`\| #, including # spare \| # µs of CPU time per message, with one message every # s on each connection: # cores`)
	cores, memory, each, balancers, spare := row[0].value, row[1].value, row[2].value, row[8].value, row[9].value
	servers := s.figures("`handfast serve` with channels, # cores, # GiB \\| # connections: # GB in the process, # GB in the kernel \\| #, including # spare \\| " +
		`pings every # s: # a second; # cores with # µs for each ping and each pong`)
	atServer, used := servers[2].value, servers[5].value-servers[6].value
	row[3].follows(t, "memory of a balancer's process", each*balancerKiB*kib/gb)
	row[4].follows(t, "memory of the kernel for a balancer", each*balancerKernel*kib/gb)
	row[5].follows(t, "descriptors of a balancer", each*descriptors[0]/1e6)
	row[6].follows(t, "ports of a balancer for a server", each/used)
	row[7].follows(t, "ports of a balancer", ports)
	row[8].follows(t, "balancers", total/each+spare)
	row[10].follows(t, "CPU time of a message", message)
	row[12].follows(t, "cores of a balancer", each/row[11].value*message*micro)
	servers[3].follows(t, "memory of a server's process", atServer*serverKiB*kib/gb)
	servers[4].follows(t, "memory of the kernel for a server", atServer*serverKernel*kib/gb)
	servers[5].follows(t, "servers", total/atServer+servers[6].value)
	servers[8].follows(t, "pings of a server a second", atServer/servers[7].value)
	servers[9].follows(t, "cores of a server for pings", 2*atServer/servers[7].value*servers[10].value*micro)
	servers[10].follows(t, "CPU time of a ping", message)
	if row[6].value > ports || row[12].value > cores || servers[9].value > servers[0].value {
		t.Errorf("got %s ports, %s and %s cores, want no more than there are", row[6].text, row[12].text, servers[9].text)
	}
	if need := row[3].value + row[4].value; need*gb > memory*kib*kib*kib {
		t.Errorf("got %v GB for a balancer, want no more than there are", need)
	}
	if need := servers[3].value + servers[4].value; need*gb > servers[1].value*kib*kib*kib {
		t.Errorf("got %v GB for a server, want no more than there are", need)
	}
	if 5*spare != balancers || 5*servers[6].value != servers[5].value {
		t.Errorf("got %s of %s balancers and %s of %s servers spare, want a fifth", row[9].text, row[8].text, servers[6].text, servers[5].text)
	}

	writes := s.figures(`A publication to # million subscribers is # million writes\. At # µs each, the writes take # CPU seconds, or # second of one core on each of # servers`)
	writes[0].follows(t, "subscribers", total/1e6)
	writes[1].follows(t, "writes", total/1e6)
	writes[2].follows(t, "CPU time of a write", message)
	writes[3].follows(t, "CPU time of a publication to all", total*message*micro)
	writes[4].follows(t, "time of a publication to all", total*message*micro/servers[5].value)
	writes[5].follows(t, "servers that publish", servers[5].value)
	restart := s.figures(`takes # million handshakes\. TLS adds # µs to the # µs that each handshake costs a balancer\. The total is # CPU minutes, or at best # seconds on # balancers with # cores`)
	cpu := total * (restart[1].value + restart[2].value) * micro
	restart[0].follows(t, "handshakes", total/1e6)
	restart[1].follows(t, "CPU time of TLS", opening[1]-opening[0])
	restart[2].follows(t, "CPU time of a handshake", handshake[0])
	restart[3].follows(t, "CPU time of all handshakes", cpu/60)
	restart[4].follows(t, "time of all handshakes", cpu/balancers/cores)
	restart[5].follows(t, "balancers", balancers)
	restart[6].follows(t, "cores", cores)
}
