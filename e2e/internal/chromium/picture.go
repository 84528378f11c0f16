package chromium

import (
	"bytes"
	"cmp"
	"flag"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"maps"
	"os"
	"slices"
)

var shots = flag.Bool("shots", false, "write the pictures of docs/")

// Picture writes a screenshot into docs/ if the flag -shots is set. The test must be two directories below the root.
func (b *Browser) Picture(name string) {
	b.t.Helper()
	if !*shots {
		return
	}
	b.Eval(`new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done("drawn"))))`)
	picture, err := png.Decode(bytes.NewReader(b.Screenshot()))
	if err != nil {
		b.t.Fatal(err)
	}
	f, err := os.Create("../../docs/" + name)
	if err != nil {
		b.t.Fatal(err)
	}
	defer f.Close()
	enc := png.Encoder{CompressionLevel: png.BestCompression}
	if err := enc.Encode(f, few(picture)); err != nil {
		b.t.Error(err)
	}
}

// few reduces a picture to its most frequent colors, at most 64, which makes the file small.
func few(picture image.Image) image.Image {
	often := map[color.Color]int{}
	b := picture.Bounds()
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			often[color.RGBAModel.Convert(picture.At(x, y))]++
		}
	}
	colors := slices.SortedFunc(maps.Keys(often), func(a, b color.Color) int { return cmp.Compare(often[b], often[a]) })
	out := image.NewPaletted(b, colors[:min(len(colors), 64)])
	draw.Draw(out, b, picture, b.Min, draw.Src)
	return out
}
