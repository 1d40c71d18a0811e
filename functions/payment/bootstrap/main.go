// Command bootstrap runs the function payment.
package main

import (
	"github.com/millrace/millrace/functions/payment"
	"github.com/millrace/millrace/runtime/boot"
)

func main() { boot.Main(payment.Spec) }
