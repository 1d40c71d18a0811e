package main

import (
	"context"
	"fmt"
	"slices"
)

// work is what a peer does in its process: it handles the events of j.Topic and tells t of each, until ctx ends.
type work func(ctx context.Context, j *job, t *tally) error

// contender is a peer that works in a process of its own.
type contender struct {
	name string
	work work
	// part divides the number of events, for peers that are much slower than the others. 0: it is given all.
	part int
	// settings are variables for millrace.
	settings map[string]string
}

// The names that several figures use.
const (
	nameMillrace  = "millrace"
	nameSDK       = "CloudEvents SDK's client"
	nameWatermill = "Watermill"
)

// contenders are the peers of each figure. The first is what the others are compared to, the last is millrace.
var contenders = map[string][]contender{
	"consume": {
		{name: "sarama alone, nothing decoded", work: consumeSarama},
		{name: "sarama alone, settings of millrace", work: consumeSaramaEqual},
		{name: "sarama and the SDK's decoder", work: consumeSaramaDecoded, part: 2},
		{name: nameSDK, work: consumeSDK, part: 4},
		{name: nameWatermill + ", headers to a map", work: consumeWatermill, part: 4},
		{name: nameMillrace, work: consumeMillrace},
	},
	"lanes": {
		{name: "sarama, one at a time in a partition", work: consumeSaramaDecoded, part: 80},
		{name: nameWatermill, work: consumeWatermill, part: 80},
		{name: nameSDK + ", a goroutine for each", work: consumeSDK},
		{name: nameMillrace + ", 256 workers", work: consumeMillrace},
	},
	"produce": {
		{name: "sarama AsyncProducer and the SDK's encoder", work: produceSarama},
		{name: nameMillrace + " kafkasink", work: produceMillrace},
	},
	"publish": {
		{name: "sarama and the SDK's codec", work: publishSarama},
		{name: nameSDK + ", a goroutine for each", work: publishSDK, part: 2},
		{name: nameWatermill + ", no codec", work: publishWatermill, part: 40},
		{name: nameMillrace, work: consumeMillrace},
	},
	"exactly-once": {
		{name: "sarama, a producer for each partition, and the SDK's codec", work: transactSarama},
		{name: nameMillrace, work: consumeMillrace, settings: exactlyOnce},
	},
	"poison": {
		{name: nameSDK, work: consumeSDK},
		{name: nameWatermill, work: consumeWatermill},
		{name: nameMillrace, work: consumeMillrace},
	},
	"transactions": transactionSettings(),
}

var exactlyOnce = map[string]string{"EXACTLY_ONCE": "true"}

// contenderOf finds a contender by its names.
func contenderOf(figure, peer string) (*contender, error) {
	peers := contenders[figure]
	i := slices.IndexFunc(peers, func(c contender) bool { return c.name == peer })
	if i < 0 {
		return nil, fmt.Errorf("figure %q has no peer %q", figure, peer)
	}
	return &peers[i], nil
}

// share is how many of records events the contender is given.
func (c *contender) share(records int) int { return max(records/max(c.part, 1), 1) }
