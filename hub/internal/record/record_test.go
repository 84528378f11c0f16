package record

import (
	"errors"
	"math"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/internal/bounded"
)

func TestMain(m *testing.M) { os.Exit(bounded.Main(m)) }

// fill sets every field below v to a nonzero value, to find fields that are not encoded.
func fill(t *testing.T, v reflect.Value) {
	t.Helper()
	switch v.Kind() {
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.Unix(1_800_000_000, 123_456_789)))
			return
		}
		for i := range v.NumField() {
			if v.Type().Field(i).Name != "Position" && v.Type().Field(i).Name != "Previous" {
				fill(t, v.Field(i))
			}
		}
	case reflect.String:
		v.SetString("é\x00" + v.Type().String())
	case reflect.Slice:
		if v.Type() == reflect.TypeFor[[]string]() {
			v.Set(reflect.ValueOf([]string{"é\x00", strings.Repeat("long", 100)}))
			return
		}
		v.SetBytes([]byte("\x00\xff bytes"))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Uint64:
		v.SetUint(math.MaxUint64)
	case reflect.Uint8, reflect.Int:
		if v.CanInt() {
			v.SetInt(7)
		} else {
			v.SetUint(7)
		}
	case reflect.Map:
		v.Set(reflect.ValueOf(map[string]string{"a": "1", "": "", strings.Repeat("long", 100): "x", "b": ""}))
	default:
		t.Fatalf("a field of kind %v", v.Kind())
	}
}

func TestRoundTrip(t *testing.T) {
	var full hub.Publication
	fill(t, reflect.ValueOf(&full).Elem())
	for _, p := range []hub.Publication{full, {}, {Data: []byte{}}, {Data: []byte("text")}, {Time: time.Unix(-5, 1), Expires: time.Unix(1<<60, 0)}} {
		got, err := Publication(AppendPublication([]byte(nil), &p))
		if err != nil || !reflect.DeepEqual(*got, p) {
			t.Errorf("%+v is read as %+v, %v", p, got, err)
		}
	}
	var entry hub.Entry
	fill(t, reflect.ValueOf(&entry).Elem())
	for _, es := range [][]hub.Entry{nil, {entry}, {{}}, {{Client: "c", Data: []byte{}}, entry, {Lease: "l", Version: 1}}} {
		got, err := Entries(AppendEntries(nil, es...))
		if err != nil || !reflect.DeepEqual(got, es) {
			t.Errorf("%+v is read as %+v, %v", es, got, err)
		}
	}
	var command hub.Command
	fill(t, reflect.ValueOf(&command).Elem())
	for _, c := range []hub.Command{command, {}} {
		got, err := Command(AppendCommand(nil, &c))
		if err != nil || !reflect.DeepEqual(got, c) {
			t.Errorf("%+v is read as %+v, %v", c, got, err)
		}
	}
}

// Fields of later versions are skipped.
func TestUnknownFields(t *testing.T) {
	later := []byte{200, 3, 'n', 'e', 'w'}
	p := hub.Publication{ID: "id"}
	got, err := Publication(append(AppendPublication(nil, &p), later...))
	if err != nil || !reflect.DeepEqual(*got, p) {
		t.Errorf("a publication is read as %+v, %v", got, err)
	}
	es, err := Entries(append(AppendEntries(nil, hub.Entry{Client: "c"}), later...))
	if err != nil || len(es) != 1 || es[0].Client != "c" {
		t.Errorf("entries are read as %+v, %v", es, err)
	}
	c := hub.Command{App: "app"}
	if got, err := Command(append(AppendCommand(nil, &c), later...)); err != nil || !reflect.DeepEqual(got, c) {
		t.Errorf("a command is read as %+v, %v", got, err)
	}
}

func TestBad(t *testing.T) {
	huge := "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"
	for _, text := range []string{
		"", "x", "p\x01", "p\x01\x02a", "p\x01" + huge, "p\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
		"p\x07\x00", "p\x07\x01\x05", "p\x07\x02\x02a", "p\x07\x01\x01", "p\x0c\x00", "p\x0c\x01\x02", "p\x0c\x03\x02\x02\x02", "p\x0c\x06\x02\x80\x94\xeb\xdc\x03",
		"e\x01\x02\x01\x05", "e\x01\x02\x05\x00", "e\x01\x04\x05\x02\x01\x01",
		"c\x01\x00", "c\x01\x02\x80\x02", "c\x08\x02\x80\x02",
	} {
		if p, err := Publication([]byte(text)); !errors.Is(err, ErrBad) || p != nil {
			t.Errorf("%q is a publication: %+v, %v", text, p, err)
		}
		if es, err := Entries([]byte(text)); !errors.Is(err, ErrBad) || es != nil {
			t.Errorf("%q is entries: %+v, %v", text, es, err)
		}
		if c, err := Command([]byte(text)); !errors.Is(err, ErrBad) || !reflect.DeepEqual(c, hub.Command{}) {
			t.Errorf("%q is a command: %+v, %v", text, c, err)
		}
	}
}

// FuzzRecord decodes arbitrary input. A valid record does not change when it is encoded and decoded again.
func FuzzRecord(f *testing.F) {
	f.Add(AppendPublication(nil, &hub.Publication{ID: "id", Data: []byte("data"), Tags: map[string]string{"a": "b"}, Time: time.Unix(1, 2)}))
	f.Add(AppendEntries(nil, hub.Entry{Lease: "l", Client: "c", Version: 5, Data: []byte("d")}, hub.Entry{Client: "x", Gone: true}))
	f.Add(AppendCommand(nil, &hub.Command{Kind: hub.CommandMessage, App: "app", Data: []byte("d"), Reason: hub.EndExpired}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if p, err := Publication(b); err == nil {
			again, err := Publication(AppendPublication(nil, p))
			if err != nil || !reflect.DeepEqual(again, p) {
				t.Errorf("%+v is read as %+v, %v", p, again, err)
			}
		}
		if es, err := Entries(b); err == nil {
			again, err := Entries(AppendEntries(nil, es...))
			if err != nil || !reflect.DeepEqual(again, es) {
				t.Errorf("%+v is read as %+v, %v", es, again, err)
			}
		}
		if c, err := Command(b); err == nil {
			again, err := Command(AppendCommand(nil, &c))
			if err != nil || !reflect.DeepEqual(again, c) {
				t.Errorf("%+v is read as %+v, %v", c, again, err)
			}
		}
	})
}

func BenchmarkPublication(b *testing.B) {
	p := &hub.Publication{ID: "0123456789", Data: make([]byte, 256), Client: "client", User: "user", Time: time.Now()}
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = AppendPublication(buf[:0], p)
		if _, err := Publication(buf); err != nil {
			b.Fatal(err)
		}
	}
}
