// Command bootstrap runs the function product-out-of-stock.
package main

import (
	productoutofstock "github.com/millrace/millrace/functions/product-out-of-stock"
	"github.com/millrace/millrace/runtime/boot"
)

func main() { boot.Main(productoutofstock.Spec) }
