// Command bootstrap runs the function user-registered.
package main

import (
	userregistered "github.com/millrace/millrace/functions/user-registered"
	"github.com/millrace/millrace/runtime/boot"
)

func main() { boot.Main(userregistered.Spec) }
