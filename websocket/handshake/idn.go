package handshake

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// asciiHost returns a host name with its non-ASCII labels in Punycode. RFC 6455 §11.1.1 and §11.1.2: characters of the host that the syntax
// excludes "MUST be converted from Unicode to ASCII". If the conversion is not possible, ok is false.
//
// Letters are converted to lower case, and East Asian full stops to dots. The rest of IDNA's mapping is not implemented: a name must be in
// composed form (NFC), as produced by keyboards and registries. A name with a Latin combining mark is not in this form and is rejected.
// Names that no registry allows are left to the DNS to reject.
func asciiHost(host string) (ascii string, ok bool) {
	if isASCII(host) {
		return host, true
	}
	if !utf8.ValidString(host) {
		return "", false
	}
	labels := strings.Split(strings.Map(mapHost, host), ".")
	for i, label := range labels {
		if strings.ContainsFunc(label, disallowedRune) {
			return "", false
		}
		if !isASCII(label) {
			label = "xn--" + punycode([]rune(label))
		}
		if len(label) > 63 { // RFC 1035 §2.3.4
			return "", false
		}
		labels[i] = label
	}
	return strings.Join(labels, "."), true
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= utf8.RuneSelf })
}

func mapHost(r rune) rune {
	switch r {
	case '\u3002', '\uff0e', '\uff61': // RFC 3490 §3.1 (1): these "MUST be recognized as dots"
		return '.'
	}
	return unicode.ToLower(r)
}

// disallowedRune reports whether r is not allowed in a host name: Latin combining marks, white space, invisible characters.
func disallowedRune(r rune) bool {
	return 0x300 <= r && r <= 0x36f || unicode.IsSpace(r) || unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co, unicode.Cs)
}

// punycode encodes a label (RFC 3492 §6.3).
func punycode(label []rune) string {
	const base, tmin, tmax, skew, damp = 36, 1, 26, 38, 700
	const digits = "abcdefghijklmnopqrstuvwxyz0123456789"
	var out []byte
	for _, r := range label {
		if r < utf8.RuneSelf {
			out = append(out, byte(r))
		}
	}
	basic := len(out)
	if basic > 0 {
		out = append(out, '-')
	}
	n, delta, bias := rune(utf8.RuneSelf), 0, 72
	for done := basic; done < len(label); n++ {
		next := rune(utf8.MaxRune)
		for _, r := range label {
			if r >= n {
				next = min(next, r)
			}
		}
		delta += int(next-n) * (done + 1)
		n = next
		for _, r := range label {
			if r < n {
				delta++
			}
			if r != n {
				continue
			}
			q := delta
			for k := base; ; k += base {
				t := min(max(k-bias, tmin), tmax)
				if q < t {
					break
				}
				out = append(out, digits[t+(q-t)%(base-t)])
				q = (q - t) / (base - t)
			}
			out = append(out, digits[q])
			// RFC 3492 §6.1: the bias is adapted to the distance to the last code point.
			if done == basic {
				delta /= damp
			} else {
				delta /= 2
			}
			done++
			delta += delta / done
			k := 0
			for ; delta > (base-tmin)*tmax/2; k += base {
				delta /= base - tmin
			}
			bias = k + (base-tmin+1)*delta/(delta+skew)
			delta = 0
		}
		delta++
	}
	return string(out)
}
