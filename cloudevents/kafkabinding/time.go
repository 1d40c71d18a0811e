package kafkabinding

import (
	"time"

	"github.com/cloudevents/sdk-go/v2/types"
)

// parseTime parses what types.ParseTime does, times in UTC about three times faster.
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
	year, month, day := number(text[:4]), number(text[5:7]), number(text[8:10])
	hour, minute, second := number(text[11:13]), number(text[14:16]), number(text[17:19])
	nanosecond, ok := fraction(text[19:end])
	if !ok || year < 0 || month < 1 || month > 12 || day < 1 || day > 28 && day > daysIn(year, month) ||
		hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59 {
		return time.Time{}, false
	}
	return time.Date(year, time.Month(month), day, hour, minute, second, nanosecond, time.UTC), true
}

// number returns the value of decimal digits, negative when one is none.
func number(digits []byte) int {
	n := 0
	for _, c := range digits {
		c -= '0'
		if c > 9 {
			return -1
		}
		n = n*10 + int(c)
	}
	return n
}

// fraction returns the nanoseconds of "" or ".123".
func fraction(text []byte) (nanoseconds int, ok bool) {
	if len(text) == 0 {
		return 0, true
	}
	digits := text[1:]
	if text[0] != '.' || len(digits) == 0 || len(digits) > 9 {
		return 0, false
	}
	nanoseconds = number(digits)
	for range 9 - len(digits) {
		nanoseconds *= 10
	}
	return nanoseconds, nanoseconds >= 0
}

func daysIn(year, month int) int {
	return time.Date(year, time.Month(month)+1, 0, 0, 0, 0, 0, time.UTC).Day()
}
