package projection

import "time"

// Begun tells how often somebody began to catch up.
func (p *Projection) Begun() int64 { return p.begun.Load() }

// SetSlice has the chore work for d until it is called again.
func (p *Projection) SetSlice(d time.Duration) { p.slice = d }
