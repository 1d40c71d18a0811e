// Package kafkabinding turns Kafka messages into CloudEvents and back, by the CloudEvents Kafka protocol binding, version
// 1.0 (https://github.com/cloudevents/spec/blob/main/cloudevents/bindings/kafka-protocol-binding.md), and its JSON event
// format.
//
// [Decode] reads both content modes, [Encode] writes the one that is asked for:
//
//	binary      attribute x is the header ce_x, datacontenttype the header content-type, data the message's value
//	structured  the value is a JSON object that holds attributes and data; content-type is application/cloudevents+json
//
// What the binding leaves open, or what other implementations do differently, is done like this:
//
//   - Header names are compared exactly. Kafka's header names are case-sensitive and the binding names them in lower case:
//     Ce_Id and Content-Type are other headers, ce_Id is an attribute with a bad name. Media types, in contrast, are
//     compared without regard to case, and their parameters are passed over.
//   - Only specversion 1.0 is accepted, in both directions. 0.3 is an error that names it: its attributes differ
//     (schemaurl, datacontentencoding), and an event read as 0.3 would be written as something else.
//   - An attribute header that stands twice, is null, or is empty where the specification demands a value, is an error.
//   - Strings hold what the specification allows: UTF-8 without control characters and noncharacters.
//   - The header ce_datacontenttype is an error: that attribute travels as content-type.
//   - A null value is no data (nil), an empty value is empty data (not nil). Both survive in both modes.
//   - In structured mode attribute headers beside the JSON object are passed over; the object is the event.
//   - Structured JSON data without datacontenttype gets application/json written out, as the JSON format advises.
//   - Headers without the prefix ce_ are no part of the event. They stay in the Message. So do its key and the broker's
//     coordinates: none of them becomes an extension.
//
// Each message that Encode writes, Decode reads, and each event that Decode returns satisfies [event.Event.Validate].
//
// The package imports the event and types packages of the CloudEvents SDK and a JSON tokenizer; it knows no Kafka client.
// All functions may be called from many goroutines at once.
package kafkabinding
