package frontier_test

import (
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/millrace/millrace/runtime/frontier"
)

// noon is a time of a first failure.
var noon = time.Date(2026, time.November, 23, 12, 0, 0, 0, time.UTC)

func TestMetadataKeepsTheState(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]frontier.State{
		"nothing":       {},
		"an offset":     {Next: 10, Reserved: 10},
		"open":          {Next: 10, Serial: 7, Open: true, Reserved: 500},
		"reserved less": {Next: 10, Reserved: 3},
		"serial":        {Serial: math.MaxUint64},
		"suspects":      {Next: 10, Suspects: []int64{11, 40, 40, 1 << 40}},
		"run at next":   {Next: 10, Finished: []frontier.Run{{From: 10, To: 10}}},
		"runs":          {Next: 10, Finished: []frontier.Run{{From: 11, To: 11}, {From: 13, To: 900}, {From: 1 << 41, To: 1 << 42}}},
		"failing": {Next: 10, Failing: []frontier.Failing{
			{Offset: 10, Attempts: 1, First: noon},
			{Offset: 11, Attempts: 2},
			{Offset: 12, Attempts: 255, First: noon.Add(-time.Hour)},
			{Offset: 1 << 33, Attempts: 3, First: noon.Add(-time.Hour)},
		}},
		"beyond 32 bits": {
			Next: 1 << 40, Serial: 1 << 50, Open: true, Reserved: 1<<40 + 1000, Suspects: []int64{1<<40 + 9},
			Finished: []frontier.Run{{From: 1<<40 + 2, To: 1<<40 + 7}}, Failing: []frontier.Failing{{Offset: 1<<40 + 1, Attempts: 4, First: noon}},
		},
		"highest offset": {Next: 1 << 62, Reserved: math.MaxInt64, Finished: []frontier.Run{{From: 1 << 62, To: 1 << 62}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := reread(t, s); !reflect.DeepEqual(got, s) {
				t.Errorf("read back:\n%+v, want\n%+v", plain(got), plain(s))
			}
		})
	}
}

// The form is a contract with the commits that are out there: a change needs another tag, and a way to read the old one.
func TestMetadataHasItsDocumentedForm(t *testing.T) {
	t.Parallel()
	s := frontier.State{
		Next: 300, Serial: 5, Open: true, Reserved: 310, Suspects: []int64{302, 302},
		Failing:  []frontier.Failing{{Offset: 301, Attempts: 2, First: time.Unix(100, 0)}, {Offset: 303, Attempts: 1}, {Offset: 304, Attempts: 3, First: time.Unix(99, 0)}},
		Finished: []frontier.Run{{From: 302, To: 302}, {From: 305, To: 308}},
	}
	want := seal([]byte{
		0xac, 0x02, // next 300
		1,    // open
		5,    // serial
		20,   // reserved: 10 above next
		2,    // suspects
		1, 0, // 302, 302
		3,                // failing
		1, 2, 0xca, 0x01, // 301, 2 attempts, 100 s + 1
		1, 1, 0, // 303, 1 attempt, not known
		0, 3, 1, // 304, 3 attempts, 1 s earlier
		2, 0, // 302
		1, 3, // 305 to 308
	})
	if got := s.String(); got != want {
		t.Errorf("String() = %s, want %s", got, want)
	}
	if got := (frontier.State{}).String(); len(got) > 20 {
		t.Errorf("the empty state takes %d bytes: %s", len(got), got)
	}
}

func TestMetadataNormalisesCountsAndTimes(t *testing.T) {
	t.Parallel()
	s := frontier.State{Next: 5, Failing: []frontier.Failing{
		{Offset: 5, Attempts: 1000, First: noon.Add(999 * time.Millisecond).In(time.FixedZone("east", 3600))},
		{Offset: 6, Attempts: 1, First: time.Date(1969, time.July, 20, 0, 0, 0, 0, time.UTC)},
	}}
	want := []frontier.Failing{{Offset: 5, Attempts: 255, First: noon}, {Offset: 6, Attempts: 1}}
	if got := reread(t, s).Failing; !reflect.DeepEqual(got, want) {
		t.Errorf("read back %v, want %v", got, want)
	}
}

// Suspects matter by how many lie above an offset, up to 255.
func TestMetadataDropsSuspectsThatMakeNoDifference(t *testing.T) {
	t.Parallel()
	s := frontier.State{Next: 50}
	for offset := range int64(1000) {
		s.Suspects = append(s.Suspects, offset<<40)
	}
	s.Suspects[0], s.Suspects[1] = 49, 50
	got := reread(t, s).Suspects
	if want := s.Suspects[len(s.Suspects)-255:]; !reflect.DeepEqual(got, want) {
		t.Errorf("kept %d suspects from %d on", len(got), got[0])
	}
	s.Suspects = []int64{3, 50, 51}
	if got := reread(t, s).Suspects; !reflect.DeepEqual(got, []int64{51}) {
		t.Errorf("kept the suspects %v of next 50", got)
	}
}

func TestMetadataLeavesOutWhatDoesNotFit(t *testing.T) {
	t.Parallel()
	runs := make([]frontier.Run, 50_000)
	for i := range runs {
		runs[i] = frontier.Run{From: 1<<40 + int64(2*i) + 1, To: 1<<40 + int64(2*i) + 1}
	}
	few, many := make([]frontier.Failing, 200), make([]frontier.Failing, 50_000)
	for i := range few {
		few[i] = frontier.Failing{Offset: 1<<40 + int64(2*i), Attempts: 1 + i%5, First: noon.Add(time.Duration(i%7) * time.Minute)}
	}
	for i := range many {
		many[i] = frontier.Failing{Offset: 1<<40 + int64(2*i), Attempts: 1, First: noon.Add(time.Duration(i%7) * time.Hour)}
		if i%100 == 99 {
			many[i].Attempts = 3
		}
	}

	t.Run("the farthest runs", func(t *testing.T) {
		t.Parallel()
		got := reread(t, frontier.State{Next: 1 << 40, Finished: runs, Failing: few})
		if !reflect.DeepEqual(got.Failing, few) {
			t.Errorf("%d of %d failing records were kept, though there are runs to leave out", len(got.Failing), len(few))
		}
		if n := len(got.Finished); n < 1000 || !reflect.DeepEqual(got.Finished, runs[:n]) {
			t.Errorf("%d runs were kept, from %v on", n, got.Finished[:1])
		}
	})
	t.Run("those with the fewest attempts", func(t *testing.T) {
		t.Parallel()
		got := reread(t, frontier.State{Next: 1 << 40, Finished: runs, Failing: many})
		kept := map[int]int{}
		for i, f := range got.Failing {
			kept[f.Attempts]++
			if i > 0 && f.Offset <= got.Failing[i-1].Offset {
				t.Errorf("offset %d after %d", f.Offset, got.Failing[i-1].Offset)
			}
		}
		if kept[3] != 500 || kept[1] < 50 {
			t.Errorf("kept by attempts: %v, want the 500 with 3 and some with 1", kept)
		}
		once := slices.DeleteFunc(got.Failing, func(f frontier.Failing) bool { return f.Attempts > 1 })
		firstOnce := slices.DeleteFunc(slices.Clone(many), func(f frontier.Failing) bool { return f.Attempts > 1 })
		if !reflect.DeepEqual(once, firstOnce[:len(once)]) {
			t.Error("of those with one attempt, others than the first were kept")
		}
	})
	t.Run("all but suspects", func(t *testing.T) {
		t.Parallel()
		s := frontier.State{Next: 1, Serial: math.MaxUint64, Reserved: math.MaxInt64, Finished: runs, Failing: many}
		for i := range int64(255) {
			s.Suspects = append(s.Suspects, (i+1)<<54)
		}
		if got := reread(t, s); !reflect.DeepEqual(got.Suspects, s.Suspects) {
			t.Errorf("%d suspects of 255 were kept", len(got.Suspects))
		}
	})
}

func TestParseRefusesWhatStringDidNotWrite(t *testing.T) {
	t.Parallel()
	good := frontier.State{Next: 300, Finished: []frontier.Run{{From: 302, To: 302}}}.String()
	huge := binary.AppendUvarint(nil, 1<<62+1)
	join := func(parts ...[]byte) (all []byte) {
		for _, p := range parts {
			all = append(all, p...)
		}
		return all
	}
	for name, metadata := range map[string]string{
		"empty":                       "",
		"librdkafka's":                "NO METADATA",
		"prose":                       "committed by ops, see runbook",
		"parallel consumer's":         "bwAAAAYCAAAABgAAAA==",
		"tag alone":                   "m1.",
		"later version":               strings.Replace(good, "m1.", "m2.", 1),
		"much later version":          strings.Replace(good, "m1.", "m12.", 1),
		"cut off":                     good[:len(good)-1],
		"cut off by a group":          good[:len(good)-4],
		"longer":                      good + "A",
		"a line end":                  good + "\n",
		"a line end inside":           good[:8] + "\r\n" + good[8:],
		"another letter":              good[:5] + "_" + good[6:],
		"invalid UTF-8":               good[:5] + "\xff" + good[6:],
		"nothing sealed":              seal(nil),
		"cut off before the flags":    seal([]byte{10}),
		"unknown flag":                seal([]byte{10, 2, 0, 0, 0, 0}),
		"unending number":             seal([]byte{0x80}),
		"next too high":               seal(join(huge, []byte{0, 0, 0, 0, 0})),
		"next beyond 64 bits":         seal([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 0}),
		"reserved beyond 64 bits":     seal([]byte{10, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0}),
		"suspects without offsets":    seal([]byte{10, 0, 0, 0, 255, 1}),
		"suspect too high":            seal(join([]byte{10, 0, 0, 0, 1}, huge, []byte{0})),
		"2^60 failing":                seal(join([]byte{10, 0, 0, 0, 0}, binary.AppendUvarint(nil, 1<<60))),
		"failing cut off":             seal([]byte{10, 0, 0, 0, 0, 2, 0, 1, 0}),
		"failing without attempts":    seal([]byte{10, 0, 0, 0, 0, 1, 0, 0, 0}),
		"failing before 1970":         seal([]byte{10, 0, 0, 0, 0, 1, 0, 1, 1}),
		"failing in the far future":   seal(join([]byte{10, 0, 0, 0, 0, 1, 0, 1}, binary.AppendVarint(nil, math.MaxInt64))),
		"failing too high":            seal(join([]byte{10, 0, 0, 0, 0, 1}, huge, []byte{1, 0})),
		"run without length":          seal([]byte{10, 0, 0, 0, 0, 0, 1}),
		"run too high":                seal(join([]byte{10, 0, 0, 0, 0, 0}, huge, []byte{0})),
		"run beyond the highest":      seal(join(binary.AppendUvarint(nil, 1<<62), []byte{0, 0, 0, 0, 0, 1, 0})),
		"run too long":                seal(join([]byte{10, 0, 0, 0, 0, 0, 0}, huge)),
		"finished and failing":        seal([]byte{10, 0, 0, 0, 0, 1, 3, 1, 0, 2, 1}),
		"runs that do not ascend":     frontier.State{Finished: []frontier.Run{{From: 5, To: 6}, {From: 2, To: 3}}}.String(),
		"runs that touch":             frontier.State{Finished: []frontier.Run{{From: 5, To: 6}, {From: 7, To: 8}}}.String(),
		"run backwards":               frontier.State{Finished: []frontier.Run{{From: 5, To: 4}}}.String(),
		"run below next":              frontier.State{Next: 6, Finished: []frontier.Run{{From: 5, To: 9}}}.String(),
		"failing below next":          frontier.State{Next: 6, Failing: []frontier.Failing{{Offset: 5, Attempts: 1}}}.String(),
		"failing twice":               frontier.State{Failing: []frontier.Failing{{Offset: 5, Attempts: 1}, {Offset: 5, Attempts: 1}}}.String(),
		"suspects that do not ascend": frontier.State{Suspects: []int64{9, 7}}.String(),
		"negative next":               frontier.State{Next: -1}.String(),
		"too long":                    seal(make([]byte, 3100)),
		"a megabyte":                  "m1." + strings.Repeat("A", 1<<20),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := frontier.Parse(metadata)
			if err == nil {
				t.Fatalf("taken as %+v", plain(s))
			}
			if !reflect.DeepEqual(s, frontier.State{}) {
				t.Errorf("the error %q came with the state %+v", err, plain(s))
			}
		})
	}
}

// Some letters of base64 hold bits that no byte takes: text that differs in them alone was not written by String.
func TestParseRefusesEachOtherLetter(t *testing.T) {
	t.Parallel()
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	for next := range 3 {
		good := frontier.State{Next: 100 << (7 * next)}.String()
		for i := range good {
			for _, letter := range letters {
				if changed := good[:i] + string(letter) + good[i+1:]; changed != good {
					if _, err := frontier.Parse(changed); err == nil {
						t.Errorf("%s was taken for %s", changed, good)
					}
				}
			}
		}
	}
}

func TestParseTellsALaterVersionFromDamage(t *testing.T) {
	t.Parallel()
	for metadata, want := range map[string]string{
		"":            "commit metadata of 0 bytes: not written by millrace",
		"m.AAAA":      "commit metadata of 6 bytes: not written by millrace",
		"m2":          "commit metadata of 2 bytes: not written by millrace",
		"mx2.AAAA":    "commit metadata of 8 bytes: not written by millrace",
		"m2.AAAA":     `commit metadata of 7 bytes: written in another form than "m1.", by a later version of millrace`,
		"m1.AAAAAAAB": "commit metadata of 11 bytes: damaged: its checksum is wrong",
	} {
		if _, err := frontier.Parse(metadata); err == nil || err.Error() != want {
			t.Errorf("Parse(%q): %v, want %s", metadata, err, want)
		}
	}
}

// Any state that is in order is read back as it was, as long as it fits, and with nothing invented when it does not.
func TestMetadataKeepsAnyState(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := anyState(t)
		got, err := frontier.Parse(s.String())
		if err != nil {
			t.Fatalf("%v: %+v", err, plain(s))
		}
		if again := got.String(); again != s.String() {
			t.Fatalf("written again as %s, not %s", again, s.String())
		}
		if got.Next != s.Next || got.Serial != s.Serial || got.Open != s.Open || got.Reserved != s.Reserved {
			t.Fatalf("read back %+v, want %+v", plain(got), plain(s))
		}
		if n := len(got.Finished); n > 0 && !reflect.DeepEqual(got.Finished, s.Finished[:n]) {
			t.Fatalf("%v is not the beginning of %v", got.Finished, s.Finished)
		}
		whole := len(got.Finished) == len(s.Finished) && reflect.DeepEqual(got.Failing, s.Failing)
		if !whole && len(s.String()) < frontier.MaxMetadata-40 {
			t.Fatalf("something was left out of %d bytes", len(s.String()))
		}
	})
}

// anyState draws a state in order: gaps, runs and failing records of random width.
func anyState(t *rapid.T) frontier.State {
	next := rapid.Int64Range(0, 1<<50).Draw(t, "next")
	s := frontier.State{
		Next:     next,
		Serial:   rapid.Uint64().Draw(t, "serial"),
		Open:     rapid.Bool().Draw(t, "open"),
		Reserved: rapid.Int64().Draw(t, "reserved"),
	}
	at := next
	for _, distance := range rapid.SliceOfN(rapid.Int64Range(0, 1<<20), 0, 300).Draw(t, "suspects") {
		at += distance
		s.Suspects = append(s.Suspects, at)
	}
	at = next
	for range rapid.IntRange(0, 1200).Draw(t, "parts") {
		at += 1 + rapid.Int64Range(0, 1<<10).Draw(t, "gap")
		if rapid.Bool().Draw(t, "finished") {
			r := frontier.Run{From: at, To: at + rapid.Int64Range(0, 1<<10).Draw(t, "length")}
			s.Finished = append(s.Finished, r)
			at = r.To + 1
			continue
		}
		f := frontier.Failing{Offset: at, Attempts: rapid.IntRange(1, 255).Draw(t, "attempts")}
		if since := rapid.Int64Range(0, 1<<33).Draw(t, "since"); since > 0 {
			f.First = time.Unix(since, 0).UTC()
		}
		s.Failing = append(s.Failing, f)
	}
	return s
}

func FuzzParse(f *testing.F) {
	for _, metadata := range []string{
		"", "NO METADATA", "bwAAAAYCAAAABgAAAA==", "m1.", "m2.AAAA", frontier.State{}.String(),
		frontier.State{Next: 300, Open: true, Suspects: []int64{305}, Finished: []frontier.Run{{From: 301, To: 999}}}.String(),
	} {
		f.Add(metadata)
	}
	f.Fuzz(checkParse)
}

// FuzzParseBody reaches what lies behind the checksum.
func FuzzParseBody(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{10, 0, 0, 0, 0, 0})
	f.Add([]byte{0xac, 0x02, 1, 5, 20, 2, 1, 0, 3, 1, 2, 0xca, 0x01, 1, 1, 0, 0, 3, 1, 2, 0, 1, 3})
	f.Fuzz(func(t *testing.T, body []byte) { checkParse(t, seal(body)) })
}

// checkParse checks that metadata is refused, or holds a state in order that is written and read as it is.
func checkParse(t *testing.T, metadata string) {
	s, err := frontier.Parse(metadata)
	if err != nil {
		return
	}
	least := s.Next
	for _, r := range s.Finished {
		if r.From < least || r.To < r.From {
			t.Errorf("run %v below %d", r, least)
		}
		least = r.To + 2
	}
	least = s.Next
	for _, failing := range s.Failing {
		if failing.Offset < least || failing.Attempts < 1 {
			t.Errorf("failing %v below %d", failing, least)
		}
		least = failing.Offset + 1
	}
	if got := reread(t, s); !reflect.DeepEqual(got, s) {
		t.Errorf("read back %+v, want %+v", plain(got), plain(s))
	}
}

// reread writes s and reads it.
func reread(t *testing.T, s frontier.State) frontier.State {
	t.Helper()
	metadata := s.String()
	if len(metadata) > frontier.MaxMetadata {
		t.Fatalf("metadata of %d bytes", len(metadata))
	}
	got, err := frontier.Parse(metadata)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// seal makes metadata of a binary form.
func seal(body []byte) string {
	sum := crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli))
	return "m1." + base64.RawURLEncoding.EncodeToString(binary.BigEndian.AppendUint32(body, sum))
}

// plain prints as a struct, not as metadata.
type plain frontier.State
