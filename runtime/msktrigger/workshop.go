package msktrigger

import (
	"github.com/millrace/millrace/runtime/lanes"
)

// workshop is what an invocation works with. One that leaves nothing behind hands it on to another.
type workshop struct {
	memory     memory
	deliveries slab[delivery]
	items      []lanes.Item[work]

	lanes *lanes.Lanes[work]
	// yield gives a worker's place away while it waits for acknowledgements.
	yield func() (resume func())
}

// work is what lanes run.
type work interface{ run() lanes.Result }

// workshop returns one that nobody uses.
func (t *Trigger) workshop() *workshop {
	if w, ok := t.workshops.Get().(*workshop); ok {
		return w
	}
	pool := lanes.NewPool(t.options.Workers)
	return &workshop{lanes: lanes.New(pool, work.run, nil), yield: pool.Yield}
}

// tidy makes the workshop ready for another invocation, when nobody holds a record and no lane has any.
func (w *workshop) tidy() {
	w.memory.reuse()
	w.deliveries.reuse()
	clear(w.items)
}
