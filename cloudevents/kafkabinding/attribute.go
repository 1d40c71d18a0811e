package kafkabinding

import (
	"bytes"
	"mime"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/cloudevents/sdk-go/v2/types"
)

// attribute is one of the attributes that the specification defines, or an extension.
type attribute int

const (
	none attribute = iota // no part of the event
	specVersion
	id
	source
	eventType
	subject
	eventTime
	dataSchema
	dataContentType
	coreAttributes // how many there are, none included
	extension
)

var attributeNames = [coreAttributes]string{
	specVersion:     "specversion",
	id:              "id",
	source:          "source",
	eventType:       "type",
	subject:         "subject",
	eventTime:       "time",
	dataSchema:      "dataschema",
	dataContentType: "datacontenttype",
}

const (
	prefix            = "ce_"
	contentTypeHeader = "content-type"
	version           = "1.0"
)

// attributeOfHeader returns the attribute that a header carries.
func attributeOfHeader(key []byte) attribute {
	switch string(key) {
	case "ce_specversion":
		return specVersion
	case "ce_id":
		return id
	case "ce_source":
		return source
	case "ce_type":
		return eventType
	case "ce_subject":
		return subject
	case "ce_time":
		return eventTime
	case "ce_dataschema":
		return dataSchema
	case contentTypeHeader:
		return dataContentType
	}
	if len(key) >= len(prefix) && string(key[:len(prefix)]) == prefix {
		return extension
	}
	return none
}

// attributeOfMember returns the attribute that a member of the JSON format's object carries.
func attributeOfMember(name []byte) attribute {
	switch string(name) {
	case "specversion":
		return specVersion
	case "id":
		return id
	case "source":
		return source
	case "type":
		return eventType
	case "subject":
		return subject
	case "time":
		return eventTime
	case "dataschema":
		return dataSchema
	case "datacontenttype":
		return dataContentType
	}
	return extension
}

// headerOf returns the header that carries an attribute in binary mode.
func headerOf(name string) string {
	if name == attributeNames[dataContentType] {
		return contentTypeHeader
	}
	return prefix + name
}

// The caches of what repeats from event to event.
var (
	sources      = cache[types.URIRef]{parse: parseSource}
	dataSchemas  = cache[types.URI]{parse: parseDataSchema}
	eventTypes   = cache[struct{}]{parse: parseEventType}
	contentTypes = cache[contentType]{parse: parseContentType}
	names        = cache[struct{}]{parse: parseName}
)

func parseSource(text string) (types.URIRef, string) {
	if reason := checkRequired(text); reason != "" {
		return types.URIRef{}, reason
	}
	u, err := url.Parse(text)
	if err != nil {
		return types.URIRef{}, reasonURIRef
	}
	if blank(u.String()) { // "#" is
		return types.URIRef{}, reasonEmpty
	}
	return types.URIRef{URL: *u}, ""
}

func parseDataSchema(text string) (types.URI, string) {
	if reason := checkRequired(text); reason != "" {
		return types.URI{}, reason
	}
	u, err := url.Parse(text)
	if err != nil || !u.IsAbs() {
		return types.URI{}, reasonURI
	}
	return types.URI{URL: *u}, ""
}

// contentType is what the JSON format has to know about a media type.
type contentType struct {
	json bool // it declares JSON: */json or */*+json
}

func parseContentType(text string) (contentType, string) {
	if reason := checkRequired(text); reason != "" {
		return contentType{}, reason
	}
	media, _, err := mime.ParseMediaType(text)
	if err != nil {
		return contentType{}, reasonMedia
	}
	return contentType{json: strings.HasSuffix(media, "/json") || strings.HasSuffix(media, "+json")}, ""
}

func parseEventType(text string) (struct{}, string) { return struct{}{}, checkRequired(text) }

// nameOf returns the name of an extension as a string, or what is wrong with it.
func nameOf(text []byte) (name, reason string) {
	for i := range usual {
		if usual[i] == string(text) {
			return usual[i], ""
		}
	}
	found, reason := names.get(text)
	if reason != "" {
		return "", reason
	}
	return found.text, ""
}

func parseName(name string) (struct{}, string) { return struct{}{}, checkName(name) }

// checkName says what is wrong with the name of an extension.
func checkName(name string) (reason string) {
	for i := range len(name) {
		if c := name[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return reasonName
		}
	}
	switch {
	case name == "":
		return reasonName
	case name == "data", attributeOfMember([]byte(name)) != extension:
		return reasonReserved
	}
	return ""
}

// checkRequired says what is wrong with a string that must not be empty. White space alone is empty, as for
// [event.Event.Validate].
func checkRequired(text string) (reason string) {
	if blank(text) {
		return reasonEmpty
	}
	return checkText(text)
}

func blank(text string) bool {
	return text == "" || (text[0] <= ' ' || text[0] >= utf8.RuneSelf) && strings.TrimSpace(text) == ""
}

// checkText says whether text holds something else than the specification's String may: Unicode without control
// characters and noncharacters.
func checkText(text string) (reason string) {
	if printable(text) {
		return ""
	}
	for _, r := range text {
		if r < ' ' || r >= 0x7f && r <= 0x9f || r&0xfffe == 0xfffe || r >= 0xfdd0 && r <= 0xfdef {
			return reasonText
		}
	}
	if !utf8.ValidString(text) {
		return reasonText
	}
	return ""
}

// printable tells whether text is printable ASCII. It looks at eight bytes at a time.
func printable(text string) bool {
	if len(text) < 8 {
		for i := range len(text) {
			if text[i] < ' ' || text[i] >= 0x7f {
				return false
			}
		}
		return true
	}
	last := text[len(text)-8:] // overlaps the one before
	for ; len(text) > 8; text = text[8:] {
		if notPrintable(load(text[:8]))&high != 0 {
			return false
		}
	}
	return notPrintable(load(last))&high == 0
}

// Eight bytes in one word.
const (
	ones = 0x0101010101010101 // 1 in each byte
	high = 0x80 * ones        // the highest bit of each byte
)

func load[T string | []byte](b T) uint64 {
	_ = b[7]
	return uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 |
		uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
}

// notPrintable sets the highest bit of a byte of x that is not printable ASCII: by the subtraction for a control
// character, by the addition for 0x7f, by the byte itself for what is beyond ASCII. A borrow or carry that spoils the next
// byte comes from a byte whose own bit is set: the lowest bit that is set is right.
func notPrintable(x uint64) uint64 {
	return (x - ' '*ones) | (x + ones) | x
}

// isStructured tells whether a content type announces a CloudEvents event format.
func isStructured(contentType []byte) bool {
	const media = "application/cloudevents"
	if len(contentType) < len(media) {
		return false
	}
	start := contentType[:len(media)]
	return string(start) == media || bytes.EqualFold(start, []byte(media))
}
