package kafkabinding

import (
	"bytes"
	"sync/atomic"
	"time"

	"github.com/cloudevents/sdk-go/v2/types"
)

// The years that RFC 3339 has digits for, as Unix times.
var (
	firstSecond = time.Date(0, time.January, 1, 0, 0, 0, 0, time.UTC).Unix()
	lastSecond  = time.Date(9999, time.December, 31, 23, 59, 59, 0, time.UTC).Unix()
)

// hasRFC3339 tells whether RFC 3339 can say t in UTC.
func hasRFC3339(t time.Time) bool {
	seconds := t.Unix()
	return firstSecond <= seconds && seconds <= lastSecond
}

const (
	longestTime = "2006-01-02T15:04:05.999999999Z"
	secondsADay = 24 * 60 * 60
)

// appendTime appends what t.UTC().AppendFormat(text, time.RFC3339Nano) would, in a third of the time. RFC 3339 can say t.
func appendTime(text []byte, t time.Time) []byte {
	seconds := t.Unix()
	day, second := seconds/secondsADay, int(seconds%secondsADay)
	if second < 0 {
		day, second = day-1, second+secondsADay
	}
	text = append(text, dateOf(day).text[:]...)
	hour, minute, second := second/3600, second/60%60, second%60
	text = append(text, tens(hour), units(hour), ':', tens(minute), units(minute), ':', tens(second), units(second))
	if nanosecond := t.Nanosecond(); nanosecond != 0 {
		text = appendFraction(text, nanosecond)
	}
	return append(text, 'Z')
}

// appendFraction appends nanosecond, which is not 0, as a fraction of a second without zeros at its end.
func appendFraction(text []byte, nanosecond int) []byte {
	milli, micro, nano := nanosecond/1_000_000, nanosecond/1_000%1_000, nanosecond%1_000
	text = append(text, '.', hundreds(milli), tens(milli), units(milli))
	if micro != 0 || nano != 0 {
		text = append(text, hundreds(micro), tens(micro), units(micro))
	}
	if nano != 0 {
		text = append(text, hundreds(nano), tens(nano), units(nano))
	}
	return bytes.TrimRight(text, "0")
}

// The digits of n, which is below 1,000.
func hundreds(n int) byte { return '0' + byte(uint(n)/100%10) }
func tens(n int) byte     { return '0' + byte(uint(n)/10%10) }
func units(n int) byte    { return '0' + byte(uint(n)%10) }

// date is how RFC 3339 writes a day.
type date struct {
	day  int64 // since 1970-01-01
	text [len("2006-01-02T")]byte
}

// dates remembers days that were written lately, each in the place of its number: a stream of events has few.
var dates [64]atomic.Pointer[date]

func dateOf(day int64) *date {
	place := &dates[day&int64(len(dates)-1)]
	if d := place.Load(); d != nil && d.day == day {
		return d
	}
	d := &date{day: day}
	time.Unix(day*secondsADay, 0).UTC().AppendFormat(d.text[:0], "2006-01-02T")
	place.Store(d)
	return d
}

// parseTime parses what types.ParseTime does, times in UTC three times faster.
func parseTime(text []byte) (t time.Time, ok bool) {
	if t, ok := parseUTC(text); ok {
		return t, true
	}
	t, err := types.ParseTime(string(text))
	return t, err == nil
}

// parseUTC parses "2006-01-02T15:04:05Z" with up to nine digits of a fraction. It is false for anything else, valid or
// not.
func parseUTC(text []byte) (t time.Time, ok bool) {
	const layout = "2006-01-02T15:04:05Z"
	end := len(text) - 1
	if len(text) < len(layout) || text[4] != '-' || text[7] != '-' || text[10] != 'T' || text[13] != ':' ||
		text[16] != ':' || text[end] != 'Z' {
		return time.Time{}, false
	}
	year, month, day := two(text, 0)*100+two(text, 2), two(text, 5), two(text, 8)
	hour, minute, second := two(text, 11), two(text, 14), two(text, 17)
	nanosecond := fraction(text[19:end])
	if year < 0 || month < 1 || month > 12 || day < 1 || day > 28 && day > daysIn(year, month) ||
		hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59 || nanosecond < 0 {
		return time.Time{}, false
	}
	return time.Date(year, time.Month(month), day, hour, minute, second, nanosecond, time.UTC), true
}

// two returns the value of the two decimal digits at i, and a value far below zero when they are none.
func two(text []byte, i int) int {
	tens, units := text[i]-'0', text[i+1]-'0'
	if tens > 9 || units > 9 {
		return -1_000_000
	}
	return int(tens)*10 + int(units)
}

// fraction returns the nanoseconds of "" or ".123", and a value below zero for anything else.
func fraction(text []byte) int {
	if len(text) == 0 {
		return 0
	}
	if text[0] != '.' || len(text) == 1 || len(text) > len(".123456789") {
		return -1
	}
	nanoseconds, unit := 0, 1_000_000_000
	for _, c := range text[1:] {
		c -= '0'
		if c > 9 {
			return -1
		}
		unit /= 10
		nanoseconds += int(c) * unit
	}
	return nanoseconds
}

func daysIn(year, month int) int {
	return time.Date(year, time.Month(month)+1, 0, 0, 0, 0, 0, time.UTC).Day()
}
