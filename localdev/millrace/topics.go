package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/millrace/millrace/localdev/cluster"
	"github.com/millrace/millrace/localdev/text"
)

func (a *app) topicsCommand() *cobra.Command {
	var (
		kafka  kafkaFlag
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "topics",
		Short: "List the topics of the cluster",
		Long: "List the topics of the cluster with partitions, records, retention and cleanup policy.\n" +
			"Records are counted by offsets: a compacted topic has fewer.",
		Example: "  millrace topics\n" +
			"  millrace topics --json | jq -r 'select(.records > 0) | .topic'",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			topics, err := a.listTopics(cmd.Context(), kafka)
			if err != nil {
				return err
			}
			if asJSON {
				return printTopicsJSON(a.stdout, topics)
			}
			return printTopics(a.stdout, topics)
		},
	}
	kafka.register(cmd.Flags())
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON object per topic and line")
	return cmd
}

func (a *app) listTopics(ctx context.Context, kafka kafkaFlag) ([]cluster.TopicInfo, error) {
	config, err := kafka.config(a.lookup)
	if err != nil {
		return nil, err
	}
	client, err := cluster.Connect(ctx, config)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	topics, err := client.Topics(ctx)
	if err == nil && len(topics) == 0 {
		brokers := strings.Join(client.Brokers(), ",")
		err = &hinted{
			code: exitNothing, err: fmt.Errorf("the cluster at %s has no topics", brokers),
			try: "millrace dev --kafka " + brokers + " creates them",
		}
	}
	return topics, err
}

func printTopics(out io.Writer, topics []cluster.TopicInfo) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "TOPIC\tPARTITIONS\tRECORDS\tRETENTION\tCLEANUP")
	for _, t := range topics {
		fmt.Fprintf(table, "%s\t%d\t%d\t%s\t%s\n", text.Escaped(t.Name), t.Partitions, t.Records, retention(t), text.Escaped(t.Cleanup))
	}
	return table.Flush()
}

// retention is in the words of infra/topics.yaml.
func retention(t cluster.TopicInfo) string {
	switch {
	case t.Retention == 0:
		return "-"
	case t.Retention%(24*time.Hour) == 0:
		return fmt.Sprintf("%dd", t.Retention/(24*time.Hour))
	case t.Retention%time.Hour == 0:
		return fmt.Sprintf("%dh", t.Retention/time.Hour)
	}
	return t.Retention.String()
}

type topicJSON struct {
	Topic      string `json:"topic"`
	Partitions int    `json:"partitions"`
	Records    int64  `json:"records"`
	// RetentionMs is null where records stay for ever, or where the cluster does not tell.
	RetentionMs *int64 `json:"retentionMs"`
	Cleanup     string `json:"cleanup"`
}

func printTopicsJSON(out io.Writer, topics []cluster.TopicInfo) error {
	var lines []byte
	for _, t := range topics {
		line := topicJSON{Topic: t.Name, Partitions: t.Partitions, Records: t.Records, Cleanup: t.Cleanup}
		if t.Retention > 0 {
			ms := t.Retention.Milliseconds()
			line.RetentionMs = &ms
		}
		var err error
		if lines, err = text.AppendJSONLine(lines, line); err != nil {
			return err
		}
	}
	_, err := out.Write(lines)
	return err
}
