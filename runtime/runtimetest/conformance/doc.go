// Package conformance is the suite that every door of the runtime passes: one table of cases, each a law that holds
// whichever door a record came through.
//
//	var doors = []conformance.Door{{Name: "consumer group", Capabilities: …, Environment: …, Run: …}}
//
//	func TestMain(m *testing.M) {
//		conformance.RunChild(doors...)
//		goleak.VerifyTestMain(m)
//	}
//
//	func TestDoors(t *testing.T) { conformance.Run(t, doors...) }
//
// The program under test runs in the test's own process, where that is enough, or in a child that can be killed: the
// test binary started anew, which [RunChild] turns into the program. In both, what a handler does is decided by the case:
// each call of a handler is handed to the case, in the test's process, and waits for its answer. So a case knows which
// handlers run, holds them for as long as it wants, and kills a child when it is surely at work. There are no sleeps.
//
// What a door cannot do it does not declare, and the cases that need it are skipped, by name and with the reason.
//
// The package imports runtime/function, runtime/deadletter, runtime/chaos, runtime/runtimetest and cloudevents; only tests may import it.
package conformance
