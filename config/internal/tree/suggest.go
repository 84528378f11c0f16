package tree

import "strings"

// Nearest returns the known word that is most similar to word, or "" if no known word is similar enough.
func Nearest(word string, known []string) string {
	if len(word) > 64 {
		return ""
	}
	best, least := "", max(2, len(word)/3)+1
	word = strings.NewReplacer("-", "_", " ", "_").Replace(strings.ToLower(word))
	for _, k := range known {
		d := distance(word, strings.ToLower(k))
		if d < least {
			best, least = k, d
		}
	}
	if len(word) <= 2 && least > 1 || len(word) <= 4 && least > 1 && best != "" && strings.ToLower(best)[0] != word[0] {
		return "" // short words are similar to anything
	}
	return best
}

// distance returns the minimum number of letters to change, add, remove or swap with the next letter to turn a into b.
func distance(a, b string) int {
	if len(b) > 64 {
		return 64
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := last[j-1]
			if a[i-1] != b[j-1] {
				change++
			}
			row[j] = min(change, last[j]+1, row[j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}

// OneOf joins words: "a, b or c".
func OneOf(list []string) string {
	switch len(list) {
	case 0:
		return ""
	case 1:
		return list[0]
	}
	return strings.Join(list[:len(list)-1], ", ") + " or " + list[len(list)-1]
}
