package transcript

import (
	"encoding/json"
	"slices"
	"testing"
)

// Empty lines and comments are skipped.
func TestPlay(t *testing.T) {
	var lines []string
	Each(t, func(t *testing.T, f File) {
		f.Play(t, func(text string) string {
			lines = append(lines, text)
			return ""
		})
	})
	if want := []string{`a> {"n":1}`, `a< {"n":"*"}`}; !slices.Equal(lines, want) {
		t.Errorf("%q", lines)
	}
}

func TestFits(t *testing.T) {
	for _, tt := range []struct {
		got, want string
		fits      bool
	}{
		{`{"a":[1,{"b":"x"}]}`, `{"a":[1,{"b":"x"}]}`, true},
		{`{"a":[1,{"b":"x"}]}`, `{"a":[1,{"b":"*"}]}`, true},
		{`{"a":1,"time":5}`, `{"a":1}`, true},
		{`{"a":1,"b":2}`, `{"a":1}`, false},
		{`{"a":1}`, `{"a":1,"b":2}`, false},
		{`{"b":1}`, `{"a":"*"}`, false},
		{`{"a":null}`, `{"a":"*"}`, false},
		{`{"a":1}`, `{"a":"1"}`, false},
		{`[1,2]`, `[1]`, false},
		{`[1,2]`, `[2,1]`, false},
		{`[1]`, `{"0":1}`, false},
	} {
		var got, want any
		if json.Unmarshal([]byte(tt.got), &got) != nil || json.Unmarshal([]byte(tt.want), &want) != nil {
			t.Fatal(tt)
		}
		if Fits(got, want, "time") != tt.fits {
			t.Errorf("%+v", tt)
		}
	}
}
