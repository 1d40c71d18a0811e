// Command bootstrap runs the function inventory.
package main

import (
	"github.com/millrace/millrace/functions/inventory"
	"github.com/millrace/millrace/runtime/boot"
)

func main() { boot.Main(inventory.Spec) }
