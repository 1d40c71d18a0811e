// Command bootstrap runs the service order-api.
package main

import (
	orderapi "github.com/millrace/millrace/functions/order-api"
	"github.com/millrace/millrace/runtime/boot"
)

func main() { boot.Serve(orderapi.Service) }
