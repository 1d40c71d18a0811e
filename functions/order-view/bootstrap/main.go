// Command bootstrap runs the function order-view.
package main

import (
	orderview "github.com/millrace/millrace/functions/order-view"
	"github.com/millrace/millrace/runtime/boot"
)

func main() { boot.Main(orderview.Spec) }
