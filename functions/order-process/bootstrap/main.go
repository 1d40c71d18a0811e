// Command bootstrap runs the function order-process.
package main

import (
	orderprocess "github.com/millrace/millrace/functions/order-process"
	"github.com/millrace/millrace/runtime/boot"
)

func main() { boot.Main(orderprocess.Spec) }
