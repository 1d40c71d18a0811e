package telemetry

import (
	"math"
	"time"
)

const (
	// bucketsPerOctave makes a bucket 4.4 % wider than the one before: what is read out is off by 2.2 % at most.
	bucketsPerOctave = 16
	// shortest is the end of the first bucket; the last holds what is longer than 4 hours.
	shortest = time.Microsecond
	buckets  = 34 * bucketsPerOctave
	// maxValues is how many different values a metric of CloudWatch may have at once.
	maxValues = 100
)

// durations is a distribution of durations. It takes the same memory whatever it holds. The zero value is empty.
type durations struct {
	counts        [buckets]int
	count         int
	min, max, sum time.Duration
}

func (d *durations) add(took time.Duration) {
	if d.count == 0 || took < d.min {
		d.min = took
	}
	d.max = max(d.max, took)
	d.sum += took
	d.count++
	d.counts[bucketOf(took)]++
}

func bucketOf(took time.Duration) int {
	if took <= shortest {
		return 0
	}
	octaves := math.Log2(float64(took) / float64(shortest))
	return min(int(octaves*bucketsPerOctave), buckets-1)
}

// distribution is how CloudWatch takes many values of a metric at once, in the form that AWS's own libraries write: each of
// Values was seen as often as the member of Counts in the same place says.
type distribution struct {
	Values []float64
	Counts []int
	Max    float64
	Min    float64
	Count  int
	Sum    float64
}

// distribution returns what d holds, in seconds. Where there are more than a hundred values, neighbours become one.
func (d *durations) distribution() distribution {
	all := distribution{Max: d.max.Seconds(), Min: d.min.Seconds(), Count: d.count, Sum: d.sum.Seconds()}
	width := 1
	for d.filled(width) > maxValues {
		width *= 2
	}
	for first := 0; first < buckets; first += width {
		count := 0
		for _, n := range d.counts[first:min(first+width, buckets)] {
			count += n
		}
		if count > 0 {
			middle := shortest.Seconds() * math.Exp2((float64(first)+float64(width)/2)/bucketsPerOctave)
			all.Values = append(all.Values, min(max(middle, all.Min), all.Max))
			all.Counts = append(all.Counts, count)
		}
	}
	return all
}

// filled returns how many groups of so many buckets hold something.
func (d *durations) filled(width int) int {
	groups, last := 0, -1
	for i, n := range d.counts {
		if n > 0 && i/width != last {
			groups, last = groups+1, i/width
		}
	}
	return groups
}
