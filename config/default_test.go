package config

import "testing"

func TestDefault(t *testing.T) {
	c := Default()
	if len(c.Listen) != 1 || c.Listen[0].Address != "localhost:8443" || c.Listen[0].TLS.Mode != TLSDev ||
		c.Listen[0].TLS.ClientAuth != ClientAuthOff || c.Listen[0].TLS.MinVersion != "1.2" {
		t.Errorf("listen: %+v", c.Listen)
	}
	if len(c.Endpoints) != 5 || c.Endpoints[0].Path != "/echo" || c.Endpoints[1].Path != "/channels" || c.Endpoints[3].Path != PusherPath || c.Endpoints[0].Target.Kind != "echo" || c.Endpoints[0].Origins.Any ||
		!c.Endpoints[0].Compression.Takeover || c.Endpoints[0].MaxMessage != 16<<20 || !c.Endpoints[0].Expiry.Close {
		t.Errorf("endpoints: %+v", c.Endpoints)
	}
	if !c.Admin.Address.Off() || c.Admin.Pprof || c.Store.Memory == nil || c.Limits.Connections != 10_000 || c.Audit.To != "off" {
		t.Errorf("%+v", c)
	}
}
