package main

import (
	"encoding/json"
	"strings"

	"github.com/millrace/millrace/infra"
)

// mskData is what msk.yaml.tmpl is filled in with.
type mskData struct {
	// Zones are the indexes of availability zones with a broker, Ports those of the brokers for IAM and SCRAM.
	Zones, Ports []int
	Topics       []mskTopic
}

// mskTopic is a topic as infra/msk.yaml has it.
type mskTopic struct {
	infra.Topic

	// ID is its logical id.
	ID string
	// Settings are a JSON object.
	Settings string
}

func newMSKData(topics []infra.Topic) (mskData, error) {
	data := mskData{Zones: []int{0, 1, 2}, Ports: []int{9096, 9098}}
	for _, t := range topics {
		settings, err := json.Marshal(t.Configs())
		if err != nil {
			return mskData{}, err
		}
		data.Topics = append(data.Topics, mskTopic{Topic: t, ID: topicID(t.Name), Settings: string(settings)})
	}
	return data, nil
}

// topicID is the name of a topic without what a logical id must not have: OrderEventsTopic.
func topicID(name string) string {
	var id strings.Builder
	for word := range strings.FieldsFuncSeq(name, func(r rune) bool { return strings.ContainsRune("-._", r) }) {
		id.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return id.String() + "Topic"
}
