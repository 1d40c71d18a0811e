// Command bootstrap runs the function order-paid.
package main

import (
	orderpaid "github.com/millrace/millrace/functions/order-paid"
	"github.com/millrace/millrace/runtime/boot"
)

func main() { boot.Main(orderpaid.Spec) }
