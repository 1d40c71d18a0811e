package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// report is all that was measured, and where and when.
type report struct {
	settings *settings
	machine  string
	date     time.Time
	sections []*section
}

// add adds a section. The lines for scripts name the figures of the last cluster as they are, those of one before by where
// they were measured.
func (r *report) add(s *section) {
	for _, before := range r.sections {
		if before.clustered {
			before.prefix = "embedded-"
		}
	}
	r.sections = append(r.sections, s)
}

// about says where and how the measurements were made.
func (r *report) about() string {
	return fmt.Sprintf("%s; medians of %d interleaved rounds", r.machine, r.settings.rounds)
}

// text is a table for each result, and then a line for each: BENCH name value unit ratio.
func (r *report) text() string {
	var out strings.Builder
	fmt.Fprintln(&out, r.about())
	for _, s := range r.sections {
		fmt.Fprintf(&out, "\n%s\n", s.title)
		for _, result := range s.results {
			fmt.Fprintf(&out, "\n%s: %s\n", result.name, result.title)
			result.table(&out)
		}
	}
	fmt.Fprintln(&out)
	for _, s := range r.sections {
		for _, result := range s.results {
			if !result.unranked {
				last := len(result.peers) - 1
				fmt.Fprintf(&out, "BENCH %s%s %.*f %s %.2f\n", s.prefix, result.name,
					result.columns[0].decimal, result.value(last, 0), result.columns[0].name, result.ratio(last, 0))
			}
		}
	}
	return out.String()
}

func (r *result) table(out io.Writer) {
	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', tabwriter.AlignRight)
	for _, row := range r.rows() {
		fmt.Fprintln(table, strings.Join(row[1:], "\t")+"\t   "+row[0])
	}
	_ = table.Flush()
	for _, g := range r.goals {
		fmt.Fprintln(out, "goal: "+g.check(r))
	}
}

// rows returns the cells of the table, the peer's name first. The first row names the columns.
func (r *result) rows() [][]string {
	head := []string{"peer"}
	if !r.unranked {
		head = append(head, "ratio")
	}
	for _, c := range r.columns {
		head = append(head, c.name)
	}
	rows := [][]string{head}
	for i, p := range r.peers {
		row := []string{p.name}
		if !r.unranked {
			row = append(row, fmt.Sprintf("%.2f", r.ratio(i, 0)))
		}
		for at, c := range r.columns {
			row = append(row, fmt.Sprintf("%.*f", c.decimal, r.value(i, at)))
		}
		rows = append(rows, row)
	}
	return rows
}

// jsonReport is the JSON form of a report.
type jsonReport struct {
	Machine  string        `json:"machine"`
	Date     string        `json:"date"`
	Sections []jsonSection `json:"sections"`
}

type jsonSection struct {
	Title   string       `json:"title"`
	Figures []jsonFigure `json:"figures"`
}

type jsonFigure struct {
	Name    string     `json:"name"`
	Goals   []string   `json:"goals"`
	Columns []string   `json:"columns"`
	Peers   []jsonPeer `json:"peers"`
}

type jsonPeer struct {
	Name  string  `json:"name"`
	Ratio float64 `json:"ratio"`
	// Values are as the table shows them, Rounds as they were measured.
	Values []float64   `json:"values"`
	Rounds [][]float64 `json:"rounds"`
}

func (r *report) writeJSON(w io.Writer) error {
	all := jsonReport{Machine: r.about(), Date: r.date.Format(time.RFC3339)}
	for _, s := range r.sections {
		section := jsonSection{Title: s.title}
		for _, result := range s.results {
			section.Figures = append(section.Figures, result.json())
		}
		all.Sections = append(all.Sections, section)
	}
	return json.MarshalWrite(w, all, jsontext.Multiline(true))
}

func (r *result) json() jsonFigure {
	f := jsonFigure{Name: r.name}
	for _, g := range r.goals {
		f.Goals = append(f.Goals, g.check(r))
	}
	for _, c := range r.columns {
		f.Columns = append(f.Columns, c.name)
	}
	for i, p := range r.peers {
		one := jsonPeer{Name: p.name, Rounds: r.rounds[i]}
		if !r.unranked {
			one.Ratio = r.ratio(i, 0)
		}
		for at := range r.columns {
			one.Values = append(one.Values, r.value(i, at))
		}
		f.Peers = append(f.Peers, one)
	}
	return f
}
