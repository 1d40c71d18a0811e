package telemetry

import (
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// The JSON of an ExportTraceServiceRequest (OTLP 1.x, "JSON Protobuf Encoding"): names in lowerCamelCase, ids in hexadecimal,
// enumerations as numbers, numbers of 64 bits as strings.

type otlpRequest struct {
	ResourceSpans []otlpResourceSpans `json:"resourceSpans"`
}

type otlpResourceSpans struct {
	Resource   otlpResource     `json:"resource"`
	ScopeSpans []otlpScopeSpans `json:"scopeSpans"`
	SchemaURL  string           `json:"schemaUrl,omitzero"`
}

type otlpResource struct {
	Attributes []otlpAttribute `json:"attributes,omitempty"`
}

type otlpScopeSpans struct {
	Scope     otlpScope  `json:"scope"`
	Spans     []otlpSpan `json:"spans"`
	SchemaURL string     `json:"schemaUrl,omitzero"`
}

type otlpScope struct {
	Name       string          `json:"name,omitzero"`
	Version    string          `json:"version,omitzero"`
	Attributes []otlpAttribute `json:"attributes,omitempty"`
}

type otlpSpan struct {
	TraceID           string          `json:"traceId"`
	SpanID            string          `json:"spanId"`
	TraceState        string          `json:"traceState,omitzero"`
	ParentSpanID      string          `json:"parentSpanId,omitzero"`
	Flags             uint32          `json:"flags"`
	Name              string          `json:"name"`
	Kind              int             `json:"kind"`
	Start             int64           `json:"startTimeUnixNano,string"`
	End               int64           `json:"endTimeUnixNano,string"`
	Attributes        []otlpAttribute `json:"attributes,omitempty"`
	DroppedAttributes int             `json:"droppedAttributesCount,omitzero"`
	Events            []otlpEvent     `json:"events,omitempty"`
	DroppedEvents     int             `json:"droppedEventsCount,omitzero"`
	Links             []otlpLink      `json:"links,omitempty"`
	DroppedLinks      int             `json:"droppedLinksCount,omitzero"`
	Status            otlpStatus      `json:"status"`
}

type otlpEvent struct {
	Time              int64           `json:"timeUnixNano,string"`
	Name              string          `json:"name"`
	Attributes        []otlpAttribute `json:"attributes,omitempty"`
	DroppedAttributes int             `json:"droppedAttributesCount,omitzero"`
}

type otlpLink struct {
	TraceID           string          `json:"traceId"`
	SpanID            string          `json:"spanId"`
	TraceState        string          `json:"traceState,omitzero"`
	Attributes        []otlpAttribute `json:"attributes,omitempty"`
	DroppedAttributes int             `json:"droppedAttributesCount,omitzero"`
	Flags             uint32          `json:"flags"`
}

type otlpStatus struct {
	Message string `json:"message,omitzero"`
	Code    int    `json:"code,omitzero"`
}

// encodeSpans returns the body of a request that exports spans, all of one provider. Text that is not UTF-8 is mended.
func encodeSpans(spans []sdktrace.ReadOnlySpan) ([]byte, error) {
	resource := otlpResourceSpans{}
	if r := spans[0].Resource(); r != nil {
		resource.Resource.Attributes = otlpAttributes(r.Attributes())
		resource.SchemaURL = r.SchemaURL()
	}
	places := map[instrumentation.Scope]int{}
	for _, span := range spans {
		scope := span.InstrumentationScope()
		place, known := places[scope]
		if !known {
			place = len(resource.ScopeSpans)
			places[scope] = place
			resource.ScopeSpans = append(resource.ScopeSpans, otlpScopeSpans{
				Scope:     otlpScope{Name: scope.Name, Version: scope.Version, Attributes: otlpAttributes(scope.Attributes.ToSlice())},
				SchemaURL: scope.SchemaURL,
			})
		}
		resource.ScopeSpans[place].Spans = append(resource.ScopeSpans[place].Spans, otlpSpanOf(span))
	}
	return json.Marshal(otlpRequest{[]otlpResourceSpans{resource}}, jsontext.AllowInvalidUTF8(true))
}

func otlpSpanOf(s sdktrace.ReadOnlySpan) otlpSpan {
	span := otlpSpan{
		TraceID:           s.SpanContext().TraceID().String(),
		SpanID:            s.SpanContext().SpanID().String(),
		TraceState:        s.SpanContext().TraceState().String(),
		Flags:             otlpFlags(s.SpanContext().TraceFlags(), s.Parent()),
		Name:              s.Name(),
		Kind:              int(s.SpanKind()),
		Start:             s.StartTime().UnixNano(),
		End:               s.EndTime().UnixNano(),
		Attributes:        otlpAttributes(s.Attributes()),
		DroppedAttributes: s.DroppedAttributes(),
		DroppedEvents:     s.DroppedEvents(),
		DroppedLinks:      s.DroppedLinks(),
		Status:            otlpStatus{Message: s.Status().Description, Code: otlpStatusCode(s.Status().Code)},
	}
	if parent := s.Parent().SpanID(); parent.IsValid() {
		span.ParentSpanID = parent.String()
	}
	for _, e := range s.Events() {
		span.Events = append(span.Events, otlpEvent{
			Time: e.Time.UnixNano(), Name: e.Name, Attributes: otlpAttributes(e.Attributes), DroppedAttributes: e.DroppedAttributeCount,
		})
	}
	for _, l := range s.Links() {
		span.Links = append(span.Links, otlpLink{
			TraceID:           l.SpanContext.TraceID().String(),
			SpanID:            l.SpanContext.SpanID().String(),
			TraceState:        l.SpanContext.TraceState().String(),
			Flags:             otlpFlags(l.SpanContext.TraceFlags(), l.SpanContext),
			Attributes:        otlpAttributes(l.Attributes),
			DroppedAttributes: l.DroppedAttributeCount,
		})
	}
	return span
}

// otlpFlags are the W3C flags of a span or a link, with whether other is of another process.
func otlpFlags(flags trace.TraceFlags, other trace.SpanContext) uint32 {
	const knowsRemote, isRemote = 0x100, 0x200
	f := uint32(flags) | knowsRemote
	if other.IsRemote() {
		f |= isRemote
	}
	return f
}

func otlpStatusCode(c codes.Code) int {
	const ok, failed = 1, 2
	switch c {
	case codes.Ok:
		return ok
	case codes.Error:
		return failed
	case codes.Unset:
	}
	return 0
}
