package config

// Load fills each target, a pointer to a struct with env tags, from lookup.
func Load(lookup func(string) (string, bool), targets ...any) error { return nil }
