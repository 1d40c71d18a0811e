// Command bootstrap runs the function order-cancelled.
package main

import (
	ordercancelled "github.com/millrace/millrace/functions/order-cancelled"
	"github.com/millrace/millrace/runtime/boot"
)

func main() { boot.Main(ordercancelled.Spec) }
