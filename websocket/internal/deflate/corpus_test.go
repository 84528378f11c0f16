package deflate

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
)

// sample generates one message of a kind. The same source generates the same message.
type sample struct {
	name string
	make func(r *rand.Rand, size int) []byte
}

var samples = []sample{
	{"json", jsonText},
	{"random", func(r *rand.Rand, size int) []byte { return fillBytes(size, func() byte { return byte(r.Uint32()) }) }},
	{"zero", func(_ *rand.Rand, size int) []byte { return make([]byte, size) }},
	{"skewed", func(r *rand.Rand, size int) []byte {
		return fillBytes(size, func() byte { return byte(min(r.ExpFloat64()*12, 255)) })
	}},
	{"period", func(r *rand.Rand, size int) []byte {
		n, i := 1+r.IntN(40000), 0
		return fillBytes(size, func() byte { i++; return byte(i % n * 7919 >> 3) })
	}},
	{"rare", rareBytes},
}

func fillBytes(size int, next func() byte) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = next()
	}
	return b
}

// rareBytes returns bytes whose frequencies decrease like the Fibonacci numbers, which would require codes of more than 15 bits.
func rareBytes(r *rand.Rand, size int) []byte {
	return fillBytes(size, func() byte {
		v := byte(0)
		for r.IntN(100) < 38 && v < 40 {
			v++
		}
		return v * 5
	})
}

const vocabulary = "alpha bravo charlie delta echo foxtrot golf hotel india juliet kilo lima mike november oscar papa " +
	"quebec romeo sierra tango message from the room please update status ready"

// jsonText returns a sequence of records like those of a chat or a ticker.
func jsonText(r *rand.Rand, size int) []byte {
	words := strings.Fields(vocabulary)
	word := func() string { return words[r.IntN(len(words))] }
	var out []byte
	for len(out) < size {
		text := make([]string, 4+r.IntN(8))
		for i := range text {
			text[i] = word()
		}
		b, err := json.Marshal(map[string]any{
			"id":        fmt.Sprintf("%08x-%04x", r.Uint32(), r.Uint32N(1<<16)),
			"user":      word(),
			"room":      word() + "-" + word(),
			"timestamp": 1790000000000 + r.Int64N(1e9),
			"price":     float64(r.IntN(1e6)) / 100,
			"text":      strings.Join(text, " "),
			"active":    r.IntN(2) == 0,
			"tags":      []string{word(), word()},
		})
		if err != nil {
			panic(err)
		}
		out = append(append(out, b...), ',')
	}
	return out[:size]
}

func source(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 7692)) }
