// Command bootstrap runs the function order-shipped.
package main

import (
	ordershipped "github.com/millrace/millrace/functions/order-shipped"
	"github.com/millrace/millrace/runtime/boot"
)

func main() { boot.Main(ordershipped.Spec) }
