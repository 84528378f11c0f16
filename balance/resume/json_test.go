package resume

import "testing"

// The iteration over a truncated object ends, and reports that the object is truncated.
func TestTruncatedObject(t *testing.T) {
	const text = `{"a":"b","c":{"d":[1,"e\""]},"f":2}`
	for n := range len(text) {
		o := objectOf([]byte(text[:n]))
		members := 0
		for _, _, ok := o.next(); ok; _, _, ok = o.next() {
			members++
		}
		if !o.bad || members > 3 {
			t.Errorf("%s: got bad %v after %d members, want true after 3 at most", text[:n], o.bad, members)
		}
	}
	o := objectOf([]byte(text))
	for _, _, ok := o.next(); ok; _, _, ok = o.next() {
	}
	if o.bad {
		t.Errorf("%s: got bad, want the end", text)
	}
}

// A value is replaced only in a valid object that has it.
func TestReplaceAt(t *testing.T) {
	for text, want := range map[string]string{
		`{"a":1,"b":2}`: `{"a":x,"b":2}`,
		`{"b":2}`:       `{"b":2}`,
		`{"a":1,"a":2}`: `{"a":x,"a":x}`,
		`{"a":1,"b"`:    `{"a":1,"b"`,
		`{"a":1,"b":2`:  `{"a":1,"b":2`,
		`{"a":1} {`:     `{"a":x} {`,
		`["a"]`:         `["a"]`,
	} {
		if got := string(replaceAt([]byte(text), func([]byte) []byte { return []byte("x") }, "a")); got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
}

// Each element of an array is replaced, whatever space surrounds it.
func TestReplaceEachElement(t *testing.T) {
	for text, want := range map[string]string{
		`[1,2]`:             `[x,x]`,
		"[ 1 ,\t2\n,\r3 ]":  "[ x ,\tx\n,\rx ]",
		`[{"a":[1, 2]}, 3]`: `[x, x]`,
		`[]`:                `[]`,
		`[ ]`:               `[ ]`,
		`[1`:                `[1`,
		`5`:                 `5`,
	} {
		if got := string(replaceAt([]byte(text), func([]byte) []byte { return []byte("x") }, "*")); got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
}

// Only an object can be entered.
func TestEnterOnlyObjects(t *testing.T) {
	for text, want := range map[string]bool{`{}`: true, ` {"b":1}`: true, `"}"`: false, `[]`: false, `5`: false, `["a":1}`: false, ``: false} {
		o := object{text: []byte(text)}
		if got := o.enter(); got != want || o.bad == want {
			t.Errorf("%q: entered: %v, bad: %v", text, got, o.bad)
		}
	}
}
