// Package foreign drives the real millrace command by clients that others wrote: kcat (librdkafka) and kafkajs. Its
// tests see what a user of those clients sees, through no code of this project.
//
// They run with make test-clients, and are skipped otherwise. It imports no other package of the project.
package foreign
