package conformance

import "errors"

// inflateWithin inflates a stream of deflate blocks (RFC 1951) and rejects references to data further back than window, which
// the standard library's inflater does not. history is the data before the stream.
func inflateWithin(data, history []byte, window int) ([]byte, error) {
	f := &bitReader{data: data}
	out := append([]byte(nil), history...)
	for final := 0; final == 0; {
		final = f.bits(1)
		var err error
		switch f.bits(2) {
		case 0:
			out, err = f.stored(out)
		case 1:
			out, err = f.codes(out, fixedLengths, fixedDistances, window)
		case 2:
			var lengths, distances *huffman
			if lengths, distances, err = f.dynamic(); err == nil {
				out, err = f.codes(out, lengths, distances, window)
			}
		default:
			err = errors.New("a block of type 3")
		}
		if err == nil && f.short {
			err = errors.New("the stream ends in a block")
		}
		if err != nil {
			return nil, err
		}
	}
	return out[len(history):], nil
}

// bitReader reads bits, starting with the least significant bit of each byte.
type bitReader struct {
	data  []byte
	acc   uint32
	n     uint
	short bool // the input has ended too early
}

func (f *bitReader) bits(n uint) int {
	for f.n < n {
		if len(f.data) == 0 {
			f.short = true
			return 0
		}
		f.acc |= uint32(f.data[0]) << f.n
		f.data = f.data[1:]
		f.n += 8
	}
	v := f.acc & (1<<n - 1)
	f.acc >>= n
	f.n -= n
	return int(v)
}

func (f *bitReader) stored(out []byte) ([]byte, error) {
	f.acc, f.n = 0, 0
	n, complement := f.bits(16), f.bits(16)
	if f.short || n != ^complement&0xffff || n > len(f.data) {
		return nil, errors.New("a stored block with a wrong length")
	}
	out = append(out, f.data[:n]...)
	f.data = f.data[n:]
	return out, nil
}

// huffman is a canonical code: the number of symbols of each length, and the symbols in order.
type huffman struct {
	count   [16]int
	symbols []int
}

func newHuffman(lengths []byte) *huffman {
	h := &huffman{symbols: make([]int, len(lengths))}
	for _, n := range lengths {
		h.count[n]++
	}
	h.count[0] = 0
	var offsets [17]int
	for n := 1; n < 16; n++ {
		offsets[n+1] = offsets[n] + h.count[n]
	}
	for symbol, n := range lengths {
		if n != 0 {
			h.symbols[offsets[n]] = symbol
			offsets[n]++
		}
	}
	return h
}

// symbol reads one symbol bit by bit. After n bits, code is their value, first is the first code of n bits, and index is the index in
// h.symbols of the symbol with that code.
func (f *bitReader) symbol(h *huffman) int {
	code, first, index := 0, 0, 0
	for n := 1; n < 16; n++ {
		code |= f.bits(1)
		if code-first < h.count[n] {
			return h.symbols[index+code-first]
		}
		index += h.count[n]
		first = (first + h.count[n]) << 1
		code <<= 1
	}
	return -1
}

var (
	lengthBase = []int{3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163,
		195, 227, 258}
	lengthExtra  = []uint{0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0}
	distanceBase = []int{1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049,
		3073, 4097, 6145, 8193, 12289, 16385, 24577}
	distanceExtra = []uint{0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13}

	fixedLengths   = newHuffman(fixedLengthLengths())
	fixedDistances = newHuffman([]byte("\x05\x05\x05\x05\x05\x05\x05\x05\x05\x05\x05\x05\x05\x05\x05\x05\x05\x05\x05\x05" +
		"\x05\x05\x05\x05\x05\x05\x05\x05\x05\x05"))
)

func fixedLengthLengths() []byte {
	lengths := make([]byte, 288)
	for i := range lengths {
		switch {
		case i < 144, i >= 280:
			lengths[i] = 8
		case i < 256:
			lengths[i] = 9
		default:
			lengths[i] = 7
		}
	}
	return lengths
}

// codes reads literals and matches up to the end of a block.
func (f *bitReader) codes(out []byte, lengths, distances *huffman, window int) ([]byte, error) {
	for !f.short {
		symbol := f.symbol(lengths)
		switch {
		case symbol < 0 || symbol > 285:
			return nil, errors.New("a code without a meaning")
		case symbol < 256:
			out = append(out, byte(symbol))
			continue
		case symbol == 256:
			return out, nil
		}
		n := lengthBase[symbol-257] + f.bits(lengthExtra[symbol-257])
		symbol = f.symbol(distances)
		if symbol < 0 || symbol > 29 {
			return nil, errors.New("a distance without a meaning")
		}
		d := distanceBase[symbol] + f.bits(distanceExtra[symbol])
		if d > window || d > len(out) {
			return nil, errors.New("a match that points back too far")
		}
		for range n {
			out = append(out, out[len(out)-d])
		}
	}
	return nil, errors.New("the stream ends in a block")
}

// dynamic reads the two Huffman codes at the beginning of a block.
func (f *bitReader) dynamic() (lengths, distances *huffman, err error) {
	nLengths, nDistances, nCodes := f.bits(5)+257, f.bits(5)+1, f.bits(4)+4
	var order [19]byte
	for i := range nCodes {
		order["\x10\x11\x12\x00\x08\x07\x09\x06\x0a\x05\x0b\x04\x0c\x03\x0d\x02\x0e\x01\x0f"[i]] = byte(f.bits(3))
	}
	code := newHuffman(order[:])
	all := make([]byte, 0, nLengths+nDistances)
	for len(all) < nLengths+nDistances && !f.short {
		symbol, times, value := f.symbol(code), 1, byte(0)
		switch {
		case symbol < 0, symbol == 16 && len(all) == 0:
			return nil, nil, errors.New("a code of lengths without a meaning")
		case symbol < 16:
			value = byte(symbol)
		case symbol == 16:
			value, times = all[len(all)-1], 3+f.bits(2)
		case symbol == 17:
			times = 3 + f.bits(3)
		default:
			times = 11 + f.bits(7)
		}
		for range times {
			all = append(all, value)
		}
	}
	if len(all) != nLengths+nDistances {
		return nil, nil, errors.New("lengths of codes that do not add up")
	}
	return newHuffman(all[:nLengths]), newHuffman(all[nLengths:]), nil
}
