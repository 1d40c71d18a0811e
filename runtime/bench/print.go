package main

import (
	"fmt"
	"io"
	"runtime"
	"strings"
	"text/tabwriter"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// machine says where the measurements were made.
func machine(s *settings) string {
	broker := "embedded broker in a process of its own"
	if len(s.brokers) > 0 {
		broker = "Kafka at " + strings.Join(s.brokers, ",")
	}
	return fmt.Sprintf("%s %s/%s, %d processors, %s, medians of %d interleaved rounds",
		runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.GOMAXPROCS(0), broker, s.rounds)
}

// printText writes a table for each result, and then one line for each: BENCH name value unit ratio.
func printText(w io.Writer, s *settings, results []result) error {
	var out strings.Builder
	fmt.Fprintln(&out, machine(s))
	for _, r := range results {
		fmt.Fprintf(&out, "\n%s: %s\n", r.name, r.title)
		r.table(&out)
	}
	fmt.Fprintln(&out)
	for _, r := range results {
		last := len(r.peers) - 1
		fmt.Fprintf(&out, "BENCH %s %.*f %s %.2f\n", r.name, r.columns[0].decimal, r.value(last, 0), r.columns[0].name, r.ratio(last))
	}
	_, err := io.WriteString(w, out.String())
	return err
}

func (r *result) table(out io.Writer) {
	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', tabwriter.AlignRight)
	fmt.Fprint(table, "ratio\t")
	for _, c := range r.columns {
		fmt.Fprint(table, c.name, "\t")
	}
	fmt.Fprintln(table, "   peer")
	for i, p := range r.peers {
		fmt.Fprintf(table, "%.2f\t", r.ratio(i))
		for at, c := range r.columns {
			fmt.Fprintf(table, "%.*f\t", c.decimal, r.value(i, at))
		}
		fmt.Fprintln(table, "   "+p.name)
	}
	_ = table.Flush()
	fmt.Fprintf(out, "goal: %.1f\n", r.goal)
}

// report is the JSON form of the results.
type report struct {
	Machine string         `json:"machine"`
	Figures []figureReport `json:"figures"`
}

type figureReport struct {
	Name    string       `json:"name"`
	Goal    float64      `json:"goal"`
	Columns []string     `json:"columns"`
	Peers   []peerReport `json:"peers"`
}

type peerReport struct {
	Name  string  `json:"name"`
	Ratio float64 `json:"ratio"`
	// Values are as the table shows them, Rounds as they were measured.
	Values []float64   `json:"values"`
	Rounds [][]float64 `json:"rounds"`
}

func printJSON(w io.Writer, s *settings, results []result) error {
	all := report{Machine: machine(s)}
	for _, r := range results {
		f := figureReport{Name: r.name, Goal: r.goal}
		for _, c := range r.columns {
			f.Columns = append(f.Columns, c.name)
		}
		for i, p := range r.peers {
			one := peerReport{Name: p.name, Ratio: r.ratio(i), Rounds: r.rounds[i]}
			for at := range r.columns {
				one.Values = append(one.Values, r.value(i, at))
			}
			f.Peers = append(f.Peers, one)
		}
		all.Figures = append(all.Figures, f)
	}
	return json.MarshalWrite(w, all, jsontext.Multiline(true))
}
