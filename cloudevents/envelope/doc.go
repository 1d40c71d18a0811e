// Package envelope reads and writes the JSON envelope of programs that know no CloudEvents:
//
//	{
//	  "eventId":     "550e8400-e29b-41d4-a716-446655440000",   id
//	  "eventType":   "OrderCreated",                           type, by the catalogue of cloudevents/schemas
//	  "aggregateId": "order-12345",                            subject and partitionkey
//	  "version":     1,                                        aggregateversion
//	  "timestamp":   "2023-12-01T10:00:00Z",                   time
//	  "data":        { … },                                    data, as application/json
//	  "metadata": {
//	    "source":        "order-service",                      source: /order-service
//	    "correlationId": "req-789",                            correlationid
//	    "causationId":   "user-action-456"                     causationid
//	  }
//	}
//
// eventId, eventType and aggregateId are required. The other members may be absent or null. Members that are not in the
// list are passed over. Names are compared exactly; a name that stands twice, also within data, is an error.
//
// An eventType that the catalogue does not know is the event's type as it is, and the other way round.
//
// A source that is a URI ("urn:shop:orders") or begins with a slash is kept; any other is a name, and a path of one slash
// and that name is the event's source. Without a source the event has the source /unknown. Encode writes the name where
// Decode would lead back from it to the same source, else the source itself. A relative source without a slash comes back
// with one.
//
// An envelope has no place for other extensions, dataschema, and a partitionkey that differs from the subject: Encode
// leaves them out.
//
// The package imports the SDK's event and types packages, cloudevents/schemas, cloudevents/kafkabinding for its check of
// attributes, and a JSON package. All functions may be called from many goroutines at once.
package envelope
