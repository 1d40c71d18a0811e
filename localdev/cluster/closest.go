package cluster

import (
	"cmp"
	"slices"
	"strings"
)

// Closest returns at most n of the names, the ones most similar to name first. Names that share nothing with it come
// last, by alphabet.
func Closest(name string, names []string, n int) []string {
	sorted := slices.Clone(names)
	slices.SortFunc(sorted, func(a, b string) int {
		return cmp.Or(cmp.Compare(distance(name, a), distance(name, b)), strings.Compare(a, b))
	})
	return sorted[:min(n, len(sorted))]
}

// distance is the number of letters to insert, remove or replace to make b of a (Levenshtein), over at most 64 letters of
// each, without regard to case.
func distance(a, b string) int {
	s, t := letters(a), letters(b)
	row := make([]int, len(t)+1)
	for j := range row {
		row[j] = j
	}
	for i := range s {
		diagonal := row[0]
		row[0] = i + 1
		for j := range t {
			replace := diagonal
			if s[i] != t[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(row[j+1]+1, row[j]+1, replace)
		}
	}
	return row[len(t)]
}

func letters(s string) []rune {
	r := []rune(strings.ToLower(s))
	return r[:min(len(r), 64)]
}
