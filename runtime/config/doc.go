// Package config reads the environment into structs and reports every problem at once.
//
//	type Config struct {
//		Host     string        `env:"SMTP_HOST, required" doc:"Mail server."`
//		Port     int           `env:"SMTP_PORT, default=587" min:"1" max:"65535" doc:"Port of the mail server."`
//		Timeout  time.Duration `env:"SMTP_TIMEOUT, default=10s" min:"1s" max:"5m" doc:"Longest time that one mail may take."`
//		Security string        `env:"SMTP_SECURITY, default=starttls" oneof:"starttls|tls|none" doc:"How the connection is secured."`
//		Password config.Secret `env:"SMTP_PASSWORD" doc:"Password of the account."`
//	}
//
// # Tags
//
// env names the variable, in the syntax of github.com/sethvargo/go-envconfig, of which three options are used: required
// (set and not empty), default=… (the last option, it takes the rest of the tag), and on a nested struct prefix=….
// min and max bound whole numbers, floating-point numbers and durations, and the length of texts and secrets
// (characters) and lists (items). oneof lists the words that are allowed. doc is one sentence for people.
//
// A field is a string, a list of strings, a bool, a number, a [time.Duration], a [Secret], or a type that implements
// [encoding.TextUnmarshaler]. Structs nest, embedded or named. Exported fields without an env tag are left alone.
// Anything else that carries the tag, and a tag that makes no sense, is a mistake of the program: Load and Describe
// panic and name the field.
//
// # Values
//
// An unset variable takes the value that the field already has, or else the default of its tag, or else the zero value,
// which no bound is applied to. A variable that is set to nothing is an empty text or an empty list; for every other kind
// of field it counts as unset. Spaces around numbers, durations and booleans are cut off, those of a text are kept.
//
// A Secret may be kept in a file, as Docker and Kubernetes do: where NAME is empty, NAME_FILE holds the path.
//
// It imports the standard library and go-envconfig only.
package config
