package kafkabinding

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"slices"
	"strconv"
	"sync"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/go-json-experiment/json/jsontext"
)

// The members of the JSON format that are no attributes.
const (
	memberData   = "data"
	memberBase64 = "data_base64"
)

var applicationJSON = []byte(event.ApplicationJSON)

// decodeStructured reads the JSON event format from the message's value.
func decodeStructured(m Message, contentType []byte) (event.Event, error) {
	if defect := checkFormat(m.Headers, contentType); defect != nil {
		return event.Event{}, defect
	}
	r := readers.Get().(*reader)
	defer r.release()
	e, defect := r.read(m.Value)
	if defect != nil {
		return event.Event{}, defect
	}
	return e, nil
}

// checkFormat accepts application/cloudevents+json with any parameters.
func checkFormat(headers []Header, contentType []byte) *DecodeError {
	count := 0
	for i := range headers {
		if string(headers[i].Key) == contentTypeHeader {
			count++
		}
	}
	if count > 1 {
		return &DecodeError{Header: contentTypeHeader, Reason: reasonRepeated}
	}
	media, _, _ := bytes.Cut(contentType, []byte(";"))
	media = bytes.TrimSpace(media)
	if !bytes.EqualFold(media, []byte(event.ApplicationCloudEventsJSON)) {
		return &DecodeError{
			Header: contentTypeHeader,
			Reason: fmt.Sprintf("is %q, of the CloudEvents formats only %s is supported",
				cut(string(media)), event.ApplicationCloudEventsJSON),
		}
	}
	return nil
}

// reader reads one event in the JSON format. Readers are pooled for their buffers.
type reader struct {
	draft draft
	seen  [coreAttributes]bool

	// data and base64 are the raw JSON of these members, nil where they are absent.
	data, base64 []byte

	value  []byte // the whole
	source bytes.Buffer
	json   *jsontext.Decoder
}

var readers = sync.Pool{New: func() any {
	r := new(reader)
	r.json = jsontext.NewDecoder(&r.source, anyNames)
	return r
}}

// anyNames leaves names that stand twice to us: those within data are no concern of the binding.
var anyNames = jsontext.AllowDuplicateNames(true)

// release gives r back without what it read.
func (r *reader) release() {
	clear(r.draft.extensions)
	*r = reader{json: r.json, draft: draft{extensions: r.draft.extensions[:0]}}
	r.json.Reset(&r.source, anyNames)
	readers.Put(r)
}

func (r *reader) read(value []byte) (event.Event, *DecodeError) {
	r.value = value
	r.source = *bytes.NewBuffer(value)
	if defect := r.members(); defect != nil {
		return event.Event{}, defect
	}
	data, defect := r.content()
	if defect != nil {
		return event.Event{}, defect
	}
	e, defect := r.draft.event()
	if defect != nil {
		return event.Event{}, defect
	}
	e.DataEncoded, e.DataBase64 = data, r.base64 != nil
	return e, nil
}

// members reads the whole of the object, and that nothing follows it.
func (r *reader) members() *DecodeError {
	if len(r.value) == 0 {
		return &DecodeError{Reason: "is null or empty, a structured event needs a JSON object"}
	}
	if r.json.PeekKind() != '{' {
		return &DecodeError{Reason: "is not a JSON object"}
	}
	if _, err := r.json.ReadToken(); err != nil {
		return r.malformed()
	}
	for r.json.PeekKind() != '}' {
		name, err := r.next()
		if err != nil {
			return r.malformed()
		}
		value, err := r.next()
		if err != nil {
			return r.malformed()
		}
		if defect := r.member(unquote(name), value); defect != nil {
			return defect
		}
	}
	if _, err := r.json.ReadToken(); err != nil {
		return r.malformed()
	}
	if _, err := r.json.ReadToken(); err != io.EOF {
		return r.malformed()
	}
	return nil
}

// next returns the next JSON value, as a part of r.value.
func (r *reader) next() ([]byte, error) {
	value, err := r.json.ReadValue()
	if err != nil {
		return nil, err
	}
	end := int(r.json.InputOffset())
	return r.value[end-len(value) : end : end], nil
}

// malformed does not pass on the tokenizer's error: it may quote names of the data.
func (r *reader) malformed() *DecodeError {
	return &DecodeError{Reason: fmt.Sprintf("is not valid JSON (after byte %d)", r.json.InputOffset())}
}

func (r *reader) member(name, value []byte) *DecodeError {
	switch a := attributeOfMember(name); {
	case string(name) == memberData:
		return keep(&r.data, memberData, value)
	case string(name) == memberBase64:
		return keep(&r.base64, memberBase64, value)
	case a == extension:
		return r.extension(name, value)
	case r.seen[a]:
		return defectOf(a, reasonRepeated)
	default:
		r.seen[a] = true
		return r.attribute(a, value)
	}
}

func keep(member *[]byte, name string, value []byte) *DecodeError {
	if *member != nil {
		return &DecodeError{Attribute: name, Reason: reasonRepeated}
	}
	*member = value
	return nil
}

// attribute takes one of the defined attributes, which are all strings. Null is unset.
func (r *reader) attribute(a attribute, value []byte) *DecodeError {
	switch value[0] {
	case '"':
		r.draft.core[a] = unquote(value)
		return nil
	case 'n':
		return nil
	default:
		return defectOf(a, reasonString)
	}
}

func (r *reader) extension(rawName, value []byte) *DecodeError {
	name, reason := names.get(rawName)
	if reason != "" {
		return &DecodeError{Attribute: cut(string(rawName)), Reason: reason}
	}
	x := draftExtension{name: name.text}
	switch value[0] {
	case '"':
		x.text = unquote(value)
	case 'n':
	case 't', 'f':
		x.typed = value[0] == 't'
	default:
		n, err := strconv.ParseInt(string(value), 10, 32)
		if err != nil {
			return &DecodeError{
				Attribute: cut(name.text),
				Reason:    "is none of string, boolean, and whole number of 32 bits",
			}
		}
		x.typed = int32(n)
	}
	r.draft.extensions = append(r.draft.extensions, x)
	return nil
}

// content returns the event's data, nil for none.
func (r *reader) content() ([]byte, *DecodeError) {
	if string(r.base64) == "null" { // the format's schema allows it
		r.base64 = nil
	}
	switch {
	case r.data != nil && r.base64 != nil:
		return nil, &DecodeError{Attribute: memberBase64, Reason: "stands beside data, one of them must go"}
	case r.base64 != nil:
		return r.decodeBase64()
	case r.data != nil:
		return r.decodeData()
	default:
		return nil, nil
	}
}

func (r *reader) decodeBase64() ([]byte, *DecodeError) {
	if r.base64[0] != '"' {
		return nil, &DecodeError{Attribute: memberBase64, Reason: reasonString}
	}
	text := unquote(r.base64)
	data := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	n, err := base64.StdEncoding.Decode(data, text)
	if err != nil {
		return nil, &DecodeError{Attribute: memberBase64, Reason: "is not base64"}
	}
	return data[:n], nil
}

// decodeData returns the member data: as it is where the media type declares JSON, else the text of the string.
func (r *reader) decodeData() ([]byte, *DecodeError) {
	text := r.draft.core[dataContentType]
	if text == nil {
		r.draft.core[dataContentType] = applicationJSON
		return r.data, nil
	}
	media, reason := contentTypes.get(text)
	switch {
	case reason != "":
		return nil, defectOf(dataContentType, reason)
	case media.value.json:
		return r.data, nil
	case r.data[0] != '"':
		return nil, &DecodeError{Attribute: memberData, Reason: "is not a string, though datacontenttype is not JSON"}
	}
	return unquote(r.data), nil
}

// unquote returns the text of a JSON string that is known to be valid. It is a part of the string itself where nothing
// in it is escaped. It is never nil.
func unquote(quoted []byte) []byte {
	inner := quoted[1 : len(quoted)-1 : len(quoted)-1]
	if !slices.Contains(inner, '\\') {
		return inner
	}
	text, _ := jsontext.AppendUnquote(make([]byte, 0, len(inner)), quoted) // cannot fail, see above
	return text
}
