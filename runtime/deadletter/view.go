package deadletter

import (
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// view is the JSON of a letter.
type view struct {
	OriginalTopic         string         `json:"originalTopic"`
	OriginalPartition     int32          `json:"originalPartition"`
	OriginalOffset        int64          `json:"originalOffset"`
	FailureReason         string         `json:"failureReason"`
	RetryCount            int            `json:"retryCount"`
	FirstFailureTimestamp *time.Time     `json:"firstFailureTimestamp"`
	LastFailureTimestamp  *time.Time     `json:"lastFailureTimestamp"`
	OriginalMessage       jsontext.Value `json:"originalMessage"`
	StackTrace            string         `json:"stackTrace"`
	ServiceName           string         `json:"serviceName"`
	ServiceVersion        string         `json:"serviceVersion"`
}

// MarshalJSON returns the letter as people and other programs look at it. originalMessage is the original's value: as it
// is where it is JSON, as a string where it is text, as {"base64": "…"} where it is neither, null where it is null or
// lost. Times that are not known are null. Key and headers of the original are not part of the view.
func (l Letter) MarshalJSON() ([]byte, error) {
	message, err := viewOf(l.Original.Value)
	if err != nil {
		return nil, err
	}
	return json.Marshal(view{
		OriginalTopic:         l.Topic,
		OriginalPartition:     l.Partition,
		OriginalOffset:        l.Offset,
		FailureReason:         l.Reason,
		RetryCount:            l.Retries,
		FirstFailureTimestamp: known(l.First),
		LastFailureTimestamp:  known(l.Last),
		OriginalMessage:       message,
		StackTrace:            l.Stack,
		ServiceName:           l.Service.Name,
		ServiceVersion:        l.Service.Version,
	}, jsontext.AllowInvalidUTF8(true))
}

// viewOf is the JSON that stands for a record's value.
func viewOf(value []byte) (jsontext.Value, error) {
	if value == nil {
		return jsontext.Value("null"), nil
	}
	if v := jsontext.Value(value); v.IsValid() {
		return v, nil
	}
	if utf8.Valid(value) {
		return json.Marshal(string(value))
	}
	return json.Marshal(struct {
		Base64 []byte `json:"base64"`
	}{value})
}

func known(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
