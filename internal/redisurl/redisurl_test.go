package redisurl

import (
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]string{
		"redis://localhost":                                     "",
		"redis://user:s3cret@localhost:6380/1":                  "",
		"rediss://localhost?db=1&client_name=x":                 "",
		"redis://localhost:26379?master_set=x&addr=localhost:1": "",
		"redis://localhost:26379?master=x":                      "unknown parameter",
		"redis://localhost?s3cret":                              "unknown parameter",
		"redis://localhost?master_set=":                         "master_set in the URL is empty",
		"redis://localhost?addr=s3cret":                         "addr in the URL is not host:port",
		"redis://localhost?addr=localhost:1&addr=s3cret&db=0":   "addr in the URL is not host:port",
		"http://s3cret@localhost":                               "not a valid",
		"":                                                      "not a valid",
	} {
		c, err := Parse(text)
		switch {
		case err == nil && want == "":
			if len(c.InitAddress) == 0 {
				t.Errorf("%s: no address", text)
			}
			if strings.Contains(text, "master_set") && c.Sentinel.MasterSet != "x" {
				t.Errorf("%s: %+v", text, c.Sentinel)
			}
		case err == nil || want == "" || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "s3cret"):
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
