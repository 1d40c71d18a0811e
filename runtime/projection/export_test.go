package projection

// Begun tells how often somebody began to catch up.
func (p *Projection) Begun() int64 { return p.begun.Load() }
