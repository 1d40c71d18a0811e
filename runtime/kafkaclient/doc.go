// Package kafkaclient says how a cluster is reached: the brokers, TLS and SASL, from the environment, and the settings
// that every client of the runtime starts from. What a producer or a consumer sets beyond that is in kafkasink and
// consumergroup.
//
// It also reads what sarama's consumer cannot. One record batch of 33 KB may decompress to gigabytes, so every client here
// refuses batches of more than [ClientBatchBytes]. sarama then fails the whole fetch, again and again: all partitions of
// that broker stand still, and the error names each of them. [Config.FindObstacle] tells which it is about, and a
// [BatchReader] reads that partition on: it takes larger batches in little memory, and passes those that are larger
// than KAFKA_MAX_BATCH_BYTES, or broken, with their coordinates in a [LostError].
//
// The mechanism AWS_MSK_IAM is SASL/OAUTHBEARER with a token that is signed here, with the keys of the environment or of the
// container's role. What it takes are two functions of HMAC, not an SDK.
//
// It imports sarama, the codecs that sarama uses, franz-go's implementation of SCRAM, and runtime/config.
package kafkaclient
