package main

import (
	"fmt"
	"strings"
	"time"
)

// markdown is the report as a page of the documentation.
func (r *report) markdown() string {
	var out strings.Builder
	fmt.Fprintf(&out, `# What millrace costs, measured

`+"`make bench`"+` wrote this page on %s: %d rounds, %d events.
%s.

%d partitions, %d keys in bursts of %d, CloudEvents in binary mode with 9 headers and about 140 bytes of data. Each peer ran in
a process of its own. Ratios are to the first line of a table, and better than 1 where they are greater. [bench](bench/README.md)
tells how to read the columns, and how to measure again.
`, r.date.Format(time.DateOnly), r.settings.rounds, r.settings.records, r.machine, partitions, keys, burst)
	for _, s := range r.sections {
		fmt.Fprintf(&out, "\n## %s\n", s.title)
		for _, result := range s.results {
			result.markdown(&out)
		}
	}
	return out.String()
}

func (r *result) markdown(out *strings.Builder) {
	fmt.Fprintf(out, "\n### %s\n\n%s.\n\n", r.name, r.title)
	for i, row := range r.rows() {
		fmt.Fprintf(out, "| %s |\n", strings.Join(row, " | "))
		if i == 0 {
			fmt.Fprintf(out, "|---|%s\n", strings.Repeat("---:|", len(row)-1))
		}
	}
	if len(r.goals) > 0 {
		fmt.Fprintln(out)
	}
	for _, g := range r.goals {
		fmt.Fprintf(out, "- %s\n", g.check(r))
	}
}
