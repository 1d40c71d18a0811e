// Package process runs Lambda functions as processes of their real bootstrap binaries, behind an emulated Lambda Runtime
// API: a [Pool] starts them on demand, hands them invocations, ends those that take too long and tells what happened in
// the words that Lambda uses. [Build] makes the binaries.
//
// It imports localdev/trigger/runtimeapi and no other package of millrace.
package process
