package kafkabinding

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strconv"

	"github.com/cloudevents/sdk-go/v2/event"
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
	var o object
	var d draft
	var few [4]draftExtension // more move to the heap
	var defect *DecodeError
	d.extensions, defect = o.readMembers(&d.core, m.Value, few[:0])
	if defect != nil {
		return event.Event{}, defect
	}
	data, defect := o.content(&d.core)
	if defect != nil {
		return event.Event{}, defect
	}
	e, defect := d.event()
	if defect != nil {
		return event.Event{}, defect
	}
	e.DataEncoded, e.DataBase64 = data, o.base64.text != nil
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
	if string(contentType) == structuredContentType {
		return nil
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

// object is what an event's object in the JSON format has beside the values of attributes.
type object struct {
	seen         [coreAttributes]bool
	data, base64 token // no text: not there
}

// readMembers takes the members from text, which must be one object.
func (o *object) readMembers(core *coreTexts, text []byte, extensions []draftExtension) ([]draftExtension, *DecodeError) {
	s := scanner{text: text}
	s.space()
	switch {
	case len(text) == 0:
		return nil, &DecodeError{Reason: "is null or empty, a structured event needs a JSON object"}
	case !s.is('{'):
		return nil, &DecodeError{Reason: "is not a JSON object"}
	}
	s.space()
	more := !s.is('}')
	for more {
		name, value, ok := s.member(maxDepth - 1)
		if !ok {
			return nil, s.malformed()
		}
		x, defect := o.member(core, name.unquoted(), value)
		if defect != nil {
			return nil, defect
		}
		if x.name != "" {
			extensions = append(extensions, x)
		}
		if more, ok = s.next('}'); !ok {
			return nil, s.malformed()
		}
	}
	if s.space(); s.at < len(text) {
		return nil, s.malformed()
	}
	return extensions, nil
}

func (s *scanner) malformed() *DecodeError {
	return &DecodeError{Reason: fmt.Sprintf("is not valid JSON (near byte %d)", s.at)}
}

// member takes a member. An extension is returned; otherwise the result has no name.
func (o *object) member(core *coreTexts, name []byte, value token) (draftExtension, *DecodeError) {
	switch a := attributeOfMember(name); {
	case string(name) == memberData:
		return draftExtension{}, keep(&o.data, memberData, value)
	case string(name) == memberBase64:
		return draftExtension{}, keep(&o.base64, memberBase64, value)
	case a == extension:
		return extensionOfMember(name, value)
	case o.seen[a]:
		return draftExtension{}, defectOf(a, reasonRepeated)
	default:
		o.seen[a] = true
		return draftExtension{}, core.setMember(a, value)
	}
}

func keep(member *token, name string, value token) *DecodeError {
	if member.text != nil {
		return &DecodeError{Attribute: name, Reason: reasonRepeated}
	}
	*member = value
	return nil
}

// setMember takes one of the defined attributes, which are all strings. Null is unset.
func (c *coreTexts) setMember(a attribute, value token) *DecodeError {
	switch value.text[0] {
	case '"':
		c[a] = value.unquoted()
		return nil
	case 'n':
		return nil
	default:
		return defectOf(a, reasonString)
	}
}

func extensionOfMember(rawName []byte, value token) (draftExtension, *DecodeError) {
	name, reason := nameOf(rawName)
	if reason != "" {
		return draftExtension{}, &DecodeError{Attribute: cut(string(rawName)), Reason: reason}
	}
	x := draftExtension{name: name}
	switch value.text[0] {
	case '"':
		x.text = value.unquoted()
	case 'n':
	case 't', 'f':
		x.typed = value.text[0] == 't'
	default:
		n, err := strconv.ParseInt(string(value.text), 10, 32)
		if err != nil {
			return draftExtension{}, &DecodeError{
				Attribute: cut(name),
				Reason:    "is none of string, boolean, and whole number of 32 bits",
			}
		}
		x.typed = int32(n)
	}
	return x, nil
}

// content returns the event's data, nil for none.
func (o *object) content(core *coreTexts) ([]byte, *DecodeError) {
	if string(o.base64.text) == "null" { // the format's schema allows it
		o.base64 = token{}
	}
	switch {
	case o.data.text != nil && o.base64.text != nil:
		return nil, &DecodeError{Attribute: memberBase64, Reason: "stands beside data, one of them must go"}
	case o.base64.text != nil:
		return o.decodeBase64()
	case o.data.text != nil:
		return o.decodeData(core)
	default:
		return nil, nil
	}
}

func (o *object) decodeBase64() ([]byte, *DecodeError) {
	if o.base64.text[0] != '"' {
		return nil, &DecodeError{Attribute: memberBase64, Reason: reasonString}
	}
	text := o.base64.unquoted()
	data := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	n, err := base64.StdEncoding.Decode(data, text)
	if err != nil {
		return nil, &DecodeError{Attribute: memberBase64, Reason: "is not base64"}
	}
	return data[:n], nil
}

// decodeData returns the member data: as it is where the media type declares JSON, else the text of the string.
func (o *object) decodeData(core *coreTexts) ([]byte, *DecodeError) {
	text := core[dataContentType]
	if text == nil {
		core[dataContentType] = applicationJSON
		return o.data.text, nil
	}
	media, reason := contentTypes.get(text)
	switch {
	case reason != "":
		return nil, defectOf(dataContentType, reason)
	case media.value.json:
		return o.data.text, nil
	case o.data.text[0] != '"':
		return nil, &DecodeError{Attribute: memberData, Reason: "is not a string, though datacontenttype is not JSON"}
	}
	return o.data.unquoted(), nil
}
