// Package text is how the command reads and shows events as text: [Events] takes from a file or a pipe what is to be
// published, [AppendLine] and [AppendJSON] show a record so that no byte of it can do harm in a terminal.
//
// It imports cloudevents/{kafkabinding,envelope,schemas}, runtime/pipeline for its Record, and a JSON package; no Kafka
// client. All functions may be called from many goroutines at once.
package text
