package proxies

import "testing"

// caddy starts one with the given site and returns its port.
func (h *home) caddy(site string) string {
	h.t.Helper()
	port := freePort(h.t)
	conf := h.write("Caddyfile", "{\n\tadmin off\n\tauto_https off\n}\nhttp://127.0.0.1:"+port+" {\n"+site+"\n}\n")
	h.start("127.0.0.1:"+port, "caddy", "run", "--config", conf, "--adapter", "caddyfile")
	return port
}

// Caddy passes WebSockets on without being told.
func TestCaddyRight(t *testing.T) {
	h := newHome(t)
	backend, _ := h.serve("--listen", "127.0.0.1:0", "--tls", "off")
	port := h.caddy("\treverse_proxy 127.0.0.1:" + backend)
	url := "ws://127.0.0.1:" + port + "/echo"
	h.echoes(url)
	if r := h.explain(url); !r.Opened || r.Diagnosis != nil {
		t.Errorf("got %s", r.text)
	}
}

// A path that the proxy answers itself.
func TestCaddyOtherPath(t *testing.T) {
	h := newHome(t)
	backend, _ := h.serve("--listen", "127.0.0.1:0", "--tls", "off")
	port := h.caddy("\thandle /ws/* {\n\t\treverse_proxy 127.0.0.1:" + backend + "\n\t}\n\thandle {\n\t\trespond \"nothing here\" 404\n\t}")
	r := h.explain("ws://127.0.0.1:" + port + "/echo")
	if r.Diagnosis == nil || r.Diagnosis.ID != "status-404" {
		t.Errorf("got %s", r.text)
	}
}
