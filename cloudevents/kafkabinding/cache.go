package kafkabinding

import (
	"hash/maphash"
	"sync/atomic"
)

const (
	cacheSize = 1024 // entries per cache, a power of two
	maxCached = 256  // bytes; longer texts are parsed each time
)

// cache remembers what texts were parsed to. Sources, types and the names of extensions are few in a stream of events,
// and cost more to parse than the rest of the event.
//
// It holds at most cacheSize texts. Each may live in two places, found by its hash; a new text takes a free one or the
// place of an older text. Lookups take no lock. Callers share what they get and must not change it.
type cache[V any] struct {
	// parse returns the value of a text, or why it has none. What has none is not remembered.
	parse func(text string) (value V, reason string)
	slots [cacheSize]atomic.Pointer[entry[V]]
}

type entry[V any] struct {
	text  string
	value V
}

// hashSeed is drawn per process, so that nobody can aim at one place of a cache.
var hashSeed = maphash.MakeSeed()

// get returns the entry of text, parsed now if need be. It does not keep text. A reason other than "" says why the text
// has no value.
func (c *cache[V]) get(text []byte) (found *entry[V], reason string) {
	hash := maphash.Bytes(hashSeed, text)
	home := hash % cacheSize
	if e := c.slots[home].Load(); e != nil && e.text == string(text) {
		return e, ""
	}
	if e := c.slots[home^1].Load(); e != nil && e.text == string(text) {
		return e, ""
	}
	return c.add(hash, string(text))
}

// getString is get for a string.
func (c *cache[V]) getString(text string) (found *entry[V], reason string) {
	hash := maphash.String(hashSeed, text)
	home := hash % cacheSize
	if e := c.slots[home].Load(); e != nil && e.text == text {
		return e, ""
	}
	if e := c.slots[home^1].Load(); e != nil && e.text == text {
		return e, ""
	}
	return c.add(hash, text)
}

func (c *cache[V]) add(hash uint64, text string) (added *entry[V], reason string) {
	value, reason := c.parse(text)
	if reason != "" {
		return nil, reason
	}
	e := &entry[V]{text: text, value: value}
	if len(text) > maxCached {
		return e, ""
	}
	c.place(hash).Store(e)
	return e, ""
}

// place returns where a new text goes: to a free place of its two, else to one of them, always the same for a text.
func (c *cache[V]) place(hash uint64) *atomic.Pointer[entry[V]] {
	home := hash % cacheSize
	switch first, second := &c.slots[home], &c.slots[home^1]; {
	case first.Load() == nil:
		return first
	case second.Load() == nil, hash>>63 == 1:
		return second
	default:
		return first
	}
}
