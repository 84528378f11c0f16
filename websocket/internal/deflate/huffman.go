package deflate

import "math/bits"

// A code is a codeword of a prefix code in transmission order, lowest bit first. The bits above it contain its length.
type code uint32

func (c code) word() uint64 { return uint64(c & 0xFFFF) }
func (c code) len() uint    { return uint(c>>16) & 31 }

// firstCodes returns the first canonical codeword of each length, for count[n] codewords of n bits (RFC 1951 §3.2.2).
func firstCodes(count *[maxCodeBits + 1]uint16) (first [maxCodeBits + 1]uint16) {
	for n := 1; n < maxCodeBits; n++ {
		first[n+1] = (first[n] + count[n]) << 1
	}
	return first
}

// assignCodes sets the canonical codeword of every symbol whose length is not zero.
func assignCodes(codes []code, lengths []uint8) {
	var count [maxCodeBits + 1]uint16
	for _, n := range lengths {
		count[n]++
	}
	next := firstCodes(&count)
	for i, n := range lengths {
		codes[i] = 0
		if n != 0 {
			codes[i] = code(bits.Reverse16(next[n])>>(16-n)) | code(n)<<16
			next[n]++
		}
	}
}

// builder makes length-limited prefix codes. It only contains scratch memory, which is not used after a call.
type builder struct {
	leaves, scratch [numLitLen]uint32 // weight<<9 | symbol
	nodes           [numLitLen]uint32 // a node's weight, then its parent, then its depth
}

// build makes an optimal prefix code for the frequencies freq, with codewords of at most limit bits, and sets the lengths and
// codewords of the symbols. A symbol that does not occur gets no codeword. It returns the total number of bits of all occurrences.
// At least two symbols must occur, and every frequency must be below 1<<16.
func (b *builder) build(codes []code, lengths []uint8, freq []uint16, limit int) int {
	n := b.sort(freq)
	var count [32]int
	b.depths(n, &count)
	limitDepths(&count, limit)
	clear(lengths)
	total, i := 0, 0
	for depth := limit; depth > 0; depth-- { // the longest codewords first, for the rarest symbols
		for _, v := range b.leaves[i : i+count[depth]] {
			lengths[v&511] = uint8(depth)
			total += int(v>>9) * depth
		}
		i += count[depth]
	}
	assignCodes(codes, lengths)
	return total
}

// sort puts the symbols that occur into leaves, rarest first, and returns their number.
func (b *builder) sort(freq []uint16) int {
	n, maxFreq := 0, uint16(0)
	for i, f := range freq {
		if f != 0 {
			b.leaves[n] = uint32(f)<<9 | uint32(i)
			n++
			maxFreq = max(maxFreq, f)
		}
	}
	leaves := b.leaves[:n]
	if n <= 20 {
		for i := range leaves {
			v := leaves[i]
			for ; i > 0 && leaves[i-1] > v; i-- {
				leaves[i] = leaves[i-1]
			}
			leaves[i] = v
		}
		return n
	}
	// This is a radix sort that uses one byte of the frequency at a time. For a message, one byte is usually enough.
	for shift := 9; maxFreq > 0; shift += 8 {
		var start [257]uint16
		buckets := start[:min(maxFreq, 255)+2]
		for _, v := range leaves {
			start[v>>shift&255+1]++
		}
		for i := 1; i < len(buckets); i++ {
			buckets[i] += buckets[i-1]
		}
		for _, v := range leaves {
			k := v >> shift & 255
			b.scratch[start[k]] = v
			start[k]++
		}
		copy(leaves, b.scratch[:n])
		maxFreq >>= 8
	}
	return n
}

// depths counts how many of the n sorted leaves are at each depth of the Huffman tree, depths above 31 as 31. Inner nodes are
// created in the order of their weights, so two queues are sufficient: the leaves, and the inner nodes.
func (b *builder) depths(n int, count *[32]int) {
	leaf, inner := 0, 0
	leaves, nodes := b.leaves[:n], b.nodes[:n-1]
	for made := range nodes {
		sum := uint32(0)
		for range 2 {
			if leaf < n && (inner >= made || leaves[leaf]>>9 <= nodes[inner]) {
				sum += leaves[leaf] >> 9
				leaf++
			} else {
				sum += nodes[inner]
				nodes[inner] = uint32(made) // from here on this element contains the parent of inner
				inner++
			}
		}
		nodes[made] = sum
	}
	// The depths are computed from the top down. A node at the next depth that is not an inner node is a leaf.
	b.nodes[n-2] = 0
	for i := n - 3; i >= 0; i-- {
		b.nodes[i] = b.nodes[b.nodes[i]] + 1
	}
	places, depth := 1, uint32(0)
	for i := n - 2; places > 0; depth++ {
		inner := 0
		for i >= 0 && b.nodes[i] == depth {
			inner++
			i--
		}
		count[min(depth, 31)] += places - inner
		places = 2 * inner
	}
}

// limitDepths moves up the leaves that are deeper than limit, and moves down only as many others as a prefix code requires.
func limitDepths(count *[32]int, limit int) {
	used := 0 // the used part of the code space, in codewords of length limit
	for depth := limit + 1; depth < len(count); depth++ {
		count[limit] += count[depth]
		count[depth] = 0
	}
	for depth := 1; depth <= limit; depth++ {
		used += count[depth] << (limit - depth)
	}
	for ; used > 1<<limit; used-- {
		count[limit]--
		depth := limit - 1
		for count[depth] == 0 {
			depth--
		}
		count[depth]--
		count[depth+1] += 2
	}
}
