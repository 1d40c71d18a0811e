package kafkabinding

import (
	"fmt"
	"hash/maphash"
	"net/url"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/types"
	"pgregory.net/rapid"
)

// TestParseTime: the fast parser and the SDK's agree.
func TestParseTime(t *testing.T) {
	t.Parallel()
	likely := rapid.StringMatching(`(\d{4}|000[01]|2024)-[01]\d-[0-3]\d[Tt ][0-2]\d:[0-6]\d:[0-6]\d([.,]\d{0,11})?(Z|z|[+-][0-2]\d:[0-6]\d)?`)
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(likely, rapid.String()).Draw(t, "text")
		want, err := types.ParseTime(text)
		got, ok := parseTime([]byte(text))
		if ok != (err == nil) || !got.Equal(want) || got.String() != want.String() {
			t.Fatalf("%q: %v, %t, want %v, %v", text, got, ok, want, err)
		}
	})
}

func TestParseTimeAtTheEdges(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"2023-12-01T10:00:00.Z", "2023-12-01T10:00:00,5Z", "2023-12-01T10:00:00.5x", "2023-12-01T10:00:00.1234567890Z",
		"2023-12-01T10:00:00.x5Z", "2023-12-01T10:00:005Z", "2023-12-01T10:00:00.000000001Z", "2023-12-01T10:00:00z",
		"2023-02-28T23:59:59Z", "2023-02-29T00:00:00Z", "2024-02-29T00:00:00Z", "1900-02-29T00:00:00Z", "2000-02-29T00:00:00Z",
		"2023-04-31T00:00:00Z", "2023-12-32T00:00:00Z", "2023-00-01T00:00:00Z", "2023-01-00T00:00:00Z", "2023-13-01T00:00:00Z",
		"2023-12-01T24:00:00Z", "2023-12-01T23:60:00Z", "2023-12-01T23:59:60Z", "0000-01-01T00:00:00Z", "/023-12-01T10:00:00Z",
		"2023-12-01T10:0a:00Z", "2023/12/01T10:00:00Z", "2023-12-01T10:00:00", "2023-12-01T10:00:00+00:00", "",
	} {
		want, err := types.ParseTime(text)
		got, ok := parseTime([]byte(text))
		if ok != (err == nil) || !got.Equal(want) || got.String() != want.String() {
			t.Errorf("%q: %v, %t, want %v, %v", text, got, ok, want, err)
		}
	}
}

func TestParseUTC(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		at := time.Unix(rapid.Int64Range(-62_135_596_800, 253_402_300_799).Draw(t, "seconds"),
			rapid.Int64Range(0, 999_999_999).Draw(t, "nanoseconds")).UTC()
		if got, ok := parseUTC([]byte(at.Format(time.RFC3339Nano))); !ok || !got.Equal(at) {
			t.Fatalf("%v: %v, %t", at, got, ok)
		}
	})
}

// TestAppendTime: times are written as the standard library writes them. Days that share a place drive each other out.
func TestAppendTime(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		seconds := rapid.OneOf(rapid.Int64Range(firstSecond, lastSecond), rapid.SampledFrom([]int64{
			firstSecond, -1, 0, secondsADay - 1, secondsADay, int64(len(dates)) * secondsADay, lastSecond,
		})).Draw(t, "seconds")
		nanosecond := rapid.OneOf(rapid.Int64Range(0, 999_999_999), rapid.SampledFrom([]int64{
			0, 1, 10, 1_000, 999_000, 1_000_000, 100_000_000, 120_000_000, 123_000_000, 100_000_001,
		})).Draw(t, "nanosecond")
		zone := time.FixedZone("", rapid.IntRange(-14*60, 14*60).Draw(t, "minutes east")*60)
		at := time.Unix(seconds, nanosecond).In(zone)
		want := at.UTC().Format(time.RFC3339Nano)
		if got := string(appendTime([]byte("00"), at)); got != "00"+want {
			t.Fatalf("written %s, want 00%s", got, want)
		}
	})
}

// TestPrintable: eight bytes at a time or one by one is the same.
func TestPrintable(t *testing.T) {
	t.Parallel()
	for length := range 20 {
		for at := range length {
			for c := range 256 {
				text := []byte("abcdefghijklmnopqrst"[:length])
				text[at] = byte(c)
				if got, want := printable(string(text)), c >= ' ' && c < 0x7f; got != want {
					t.Fatalf("printable(%q) is %t", text, got)
				}
			}
		}
	}
}

// TestTextOf: the short way and the long one are the same.
func TestTextOf(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		u := url.URL{
			Path: rapid.OneOf(rapid.StringMatching(`/{0,2}[a-zA-Z0-9._/-]*`), rapid.String()).Draw(t, "path"),
			Host: rapid.SampledFrom([]string{"", "", "h"}).Draw(t, "host"), RawQuery: rapid.SampledFrom([]string{"", "q"}).Draw(t, "query"),
			ForceQuery: rapid.Bool().Draw(t, "force query"), User: rapid.SampledFrom([]*url.Userinfo{nil, nil, url.User("u")}).Draw(t, "user"),
		}
		if got, _ := textOf(&u); got != u.String() {
			t.Fatalf("textOf(%#v) is %q, want %q", u, got, u.String())
		}
	})
}

// TestCacheKeepsTwo: two texts that belong to the same place do not drive each other out.
func TestCacheKeepsTwo(t *testing.T) {
	t.Parallel()
	c := cache[int]{parse: func(text string) (int, string) { return len(text), "" }}
	byHome := map[uint64]string{}
	for i := 0; ; i++ {
		text := fmt.Sprint(i)
		home := maphash.String(hashSeed, text) % cacheSize
		other, ok := byHome[home]
		byHome[home] = text
		if !ok {
			continue
		}
		first, _ := c.getString(other)
		second, _ := c.getString(text)
		if again, _ := c.getString(other); again != first {
			t.Errorf("%q drove out %q", text, other)
		}
		if again, _ := c.getString(text); again != second {
			t.Errorf("%q was not kept", text)
		}
		return
	}
}

func TestCache(t *testing.T) {
	t.Parallel()
	parsed := 0
	c := cache[int]{parse: func(text string) (int, string) {
		parsed++
		if text == "bad" {
			return 0, "is bad"
		}
		return len(text), ""
	}}
	for i := range 10 * cacheSize {
		text := fmt.Sprintf("text %d", i)
		e, reason := c.get([]byte(text))
		if reason != "" || e.text != text || e.value != len(text) {
			t.Fatalf("%s: %v, %q", text, e, reason)
		}
		if again, _ := c.getString(text); again != e {
			t.Fatalf("%s was not remembered", text)
		}
	}
	if parsed != 10*cacheSize {
		t.Errorf("parsed %d times, want %d", parsed, 10*cacheSize)
	}
	for range 2 {
		if e, reason := c.get([]byte("bad")); e != nil || reason != "is bad" {
			t.Errorf("bad text: %v, %q", e, reason)
		}
	}
	long := make([]byte, maxCached+1)
	first, _ := c.get(long)
	if second, _ := c.get(long); first == second {
		t.Error("a long text was remembered")
	}
}
