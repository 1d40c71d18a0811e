package template

import (
	"math"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/millrace/millrace/localdev/trigger/filter"
)

// The bounds of mappings, which are AWS's.
const (
	maxBatch          = 10_000
	defaultBatch      = 100
	maxWindowSeconds  = 300
	defaultWindow     = 500 * time.Millisecond
	maxAttempts       = 10_000
	attemptsByDefault = 10
	minAgeSeconds     = 60
	maxAgeSeconds     = 604_800
	maxMinPollers     = 200
	maxMaxPollers     = 2000
	maxAccesses       = 29
	endless           = -1
	defaultMinPollers = 1
	defaultMaxPollers = 200
)

const (
	bootstrapServers   = "KafkaBootstrapServers"
	kafkaDestination   = "kafka://"
	partialResponses   = "ReportBatchItemFailures"
	provisionedPollers = "ProvisionedPollerConfig"
	startingPosition   = "StartingPosition"
)

var (
	// topicName is what Lambda takes as the name of a topic.
	topicName = regexp.MustCompile(`^[^.][a-zA-Z0-9._-]{0,248}$`)
	// groupName is what Lambda takes as a consumer group.
	groupName = regexp.MustCompile(`^[a-zA-Z0-9/*:_+=.@-]{1,200}$`)
)

// mapping reads the event source mapping whose properties are at the place.
func (p place) mapping(s shape, id string) Mapping {
	for _, m := range p.members {
		if !slices.Contains(s.properties, m.name) {
			p.raw(m.name).failf("%s has no such property", s.name)
		}
	}
	m := Mapping{
		LogicalID: id,
		Source:    s.source,
		Topic:     p.topic(),
		Group:     p.in(s.group...).group(),
		BatchSize: p.member("BatchSize").number(1, maxBatch, defaultBatch),
		Window:    p.member("MaximumBatchingWindowInSeconds").window(),
		Enabled:   p.member("Enabled").truth(true),
		Filters:   p.in("FilterCriteria", "Filters").patterns(),
		Bisect:    p.member("BisectBatchOnFunctionError").truth(false),
		MaxAge:    p.member("MaximumRecordAgeInSeconds").age(),
	}
	m.Start, m.StartAt = p.start()
	m.PartialResponses = p.member("FunctionResponseTypes").responses()
	m.readPollers(p.member(provisionedPollers))
	m.OnFailure = p.in("DestinationConfig", "OnFailure").destination(m)
	m.MaxAttempts = p.attempts(m.OnFailure != "")
	p.checkSource(s, &m)
	p.in(s.group...).claim(m.Group)
	p.advise(s, m)
	return m
}

func (p place) topic() string {
	topics := p.member("Topics")
	names := topics.elements()
	if len(names) != 1 {
		if topics.kind != text {
			topics.failf("must name exactly one topic, not %d", len(names))
		}
		return ""
	}
	name, ok := names[0].exact()
	if ok && !topicName.MatchString(name) {
		names[0].failf("is %q, a topic has 1 to 249 letters, digits, dots, underscores and hyphens", name)
	}
	return name
}

func (p place) group() string {
	name, ok := p.exact()
	if ok && !groupName.MatchString(name) {
		p.failf("is %q, a group has 1 to 200 letters, digits and / * : _ + = . @ -", name)
	}
	return name
}

// claim takes a group for a mapping: AWS refuses a group that another mapping has.
func (p place) claim(group string) {
	if group == "" {
		return
	}
	if owner, taken := p.groups[group]; taken {
		p.failf("%s is the group of %s too, and AWS takes a group once", group, owner)
		return
	}
	p.groups[group] = p.path
}

func (p place) window() time.Duration {
	if p.missing() {
		return defaultWindow
	}
	return time.Duration(p.number(0, maxWindowSeconds, 0)) * time.Second
}

func (p place) age() time.Duration {
	if s := p.text; s == "-1" || p.missing() {
		return 0
	}
	return time.Duration(p.number(minAgeSeconds, maxAgeSeconds, 0)) * time.Second
}

func (p place) start() (Start, time.Time) {
	position, at := p.member(startingPosition), p.member("StartingPositionTimestamp")
	if position.missing() {
		position.failf("is required: TRIM_HORIZON, LATEST or AT_TIMESTAMP")
	}
	start := Start(position.oneOf(string(TrimHorizon), string(Latest), string(AtTimestamp)))
	switch {
	case start != AtTimestamp && !at.missing():
		at.warnf("counts with AT_TIMESTAMP only")
	case start == AtTimestamp && at.missing():
		at.failf("is required with AT_TIMESTAMP, in seconds since 1970")
	case start == AtTimestamp:
		return start, at.timestamp()
	case start == Latest:
		position.notef("misses what is written while AWS creates the mapping, or changes it")
	}
	return start, time.Time{}
}

func (p place) timestamp() time.Time {
	at := time.Unix(int64(p.number(0, math.MaxInt, 0)), 0).UTC()
	if at.After(p.options.Now) {
		p.failf("is %s, must not be in the future", at.Format(time.RFC3339))
	}
	return at
}

// patterns reads and checks filter patterns.
func (p place) patterns() []string {
	var patterns []string
	filters := p.elements()
	if n := len(filters); n > filter.MaxPatterns {
		p.failf("there are %d filters, a mapping has at most %d", n, filter.MaxPatterns)
	} else if n > filter.DefaultPatterns {
		p.warnf("there are %d filters, and AWS takes %d unless the quota of the account was raised", n, filter.DefaultPatterns)
	}
	for _, f := range filters {
		pattern := f.member("Pattern")
		s, ok := pattern.exact()
		if !ok {
			if pattern.missing() {
				pattern.failf("a filter has a Pattern")
			}
			continue
		}
		if _, err := filter.Compile(s); err != nil {
			pattern.failf("AWS refuses this: %v", err)
		}
		patterns = append(patterns, s)
	}
	return patterns
}

func (p place) responses() bool {
	reports := false
	for _, e := range p.elements() {
		if e.str() != partialResponses {
			e.failf("is %q, there is only %s", e.text, partialResponses)
			continue
		}
		reports = true
	}
	return reports
}

func (m *Mapping) readPollers(p place) {
	if p.missing() {
		return
	}
	p.fields()
	m.Provisioned = true
	m.MinPollers = p.member("MinimumPollers").number(1, maxMinPollers, defaultMinPollers)
	m.MaxPollers = p.member("MaximumPollers").number(1, maxMaxPollers, defaultMaxPollers)
	if m.MinPollers > m.MaxPollers {
		p.failf("MinimumPollers is %d, above MaximumPollers, which is %d", m.MinPollers, m.MaxPollers)
	}
}

// destination reads where batches go that are given up.
func (p place) destination(m Mapping) string {
	if p.missing() {
		return ""
	}
	if kind := p.member("Type"); !kind.missing() {
		kind.oneOf("SQS", "SNS", "S3", "Kafka")
	}
	to := p.member("Destination")
	s := to.loose()
	topic, isTopic := strings.CutPrefix(s, kafkaDestination)
	switch {
	case s == "":
		to.failf("is required: kafka://TOPIC or the ARN of a queue, a topic of SNS or a bucket")
	case isTopic && to.unknown != "":
		to.needs()
	case isTopic && !topicName.MatchString(topic):
		to.failf("is %q, what follows kafka:// must be the name of a topic", s)
	case isTopic && topic == m.Topic:
		to.failf("is the topic of the mapping itself")
	case isTopic && !m.Provisioned:
		to.warnf("AWS takes a topic only with %s", provisionedPollers)
	case strings.HasSuffix(s, ".fifo"):
		to.failf("AWS takes no FIFO queue or topic here")
	case !isTopic && to.unknown == "" && !isDestination(s):
		to.failf("is %q, must be kafka://TOPIC or the ARN of a queue, a topic of SNS or a bucket", s)
	case !isTopic:
		to.warnf("what is given up is written to a file here, not to %s", s)
	}
	return s
}

func isDestination(arn string) bool {
	parts := strings.SplitN(arn, ":", 6)
	return len(parts) == 6 && parts[0] == "arn" && slices.Contains([]string{"sqs", "sns", "s3"}, parts[2]) && parts[5] != ""
}

// attempts reads how often a batch is tried again.
func (p place) attempts(destination bool) int {
	again := p.member("MaximumRetryAttempts")
	n := again.number(endless, maxAttempts, endless)
	if n != endless || !destination {
		return n
	}
	if again.missing() {
		again.notef("is not set: with a destination AWS tries %d times again, without one for ever", attemptsByDefault)
	} else {
		again.warnf("is -1, for ever, and AWS makes it %d where there is a destination", attemptsByDefault)
	}
	return attemptsByDefault
}
