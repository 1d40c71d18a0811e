// Package kafkaclient says how a cluster is reached: the brokers, TLS and SASL, from the environment, and the settings
// that every client of the runtime starts from. What a producer or a consumer sets beyond that is in kafkasink and
// consumergroup.
//
// It imports sarama, the SCRAM implementation that sarama asks for, and runtime/config.
package kafkaclient
