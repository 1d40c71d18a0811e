package orderprocess

// Open makes the handler with a clock of the test.
var Open = open
