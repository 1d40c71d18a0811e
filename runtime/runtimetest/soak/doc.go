//go:build unix

// Command soak runs three processes of one function on a topic of events, does to them and to their broker what goes
// wrong in production, and checks from the outside that the runtime kept its promises.
//
//	make soak
//	go run ./runtime/runtimetest/soak -duration 3m -events 50000 -exactly-once -seed 7
//	go run ./runtime/runtimetest/soak -kafka embedded -duration 40s -events 5000    # quick, without Java
//
// While events are written, members are killed, ended, or stopped for longer than their session lasts; connections are
// cut, delayed and half-open, requests arrive late, and the broker is restarted. The schedule follows from the seed; when
// what happens does not. One thing is left out, because no commit outside a transaction survives it: a member is not killed
// between the late arrival of an old commit and its next one. One handler of 200 takes 1.5 s, for without slow records a wrong commit passes; one of 500
// always fails.
//
// The last line is SOAK and the number of violations of each law (see package history). The exit code is 0 when all are
// 0, 1 when one is not or the run itself failed, 2 for unknown flags, and 3 when too little happened for the run to mean
// anything: few faults met work in flight, or nothing was taken over or tried again. What the members wrote is kept in a
// folder unless the code is 0.
//
// The program runs itself as the members ("soak member"); -member names another program for them, built of changed
// sources, which a run must find out about.
package main
