// Command bootstrap runs the function order-created.
package main

import (
	ordercreated "github.com/millrace/millrace/functions/order-created"
	"github.com/millrace/millrace/runtime/boot"
)

func main() { boot.Main(ordercreated.Spec) }
