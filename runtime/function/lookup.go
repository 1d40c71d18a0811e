package function

import "github.com/millrace/millrace/runtime/config"

// Lookup reads one variable of the environment: its value, and whether it is set. [os.LookupEnv] is one.
type Lookup func(key string) (string, bool)

// Into fills target, a pointer to a struct whose fields carry env tags, and reports every problem at once. The tags are
// described in runtime/config.
func (l Lookup) Into(target any) error { return config.Load(l, target) }
