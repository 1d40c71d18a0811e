// Command bootstrap runs the function notification-requested.
package main

import (
	notificationrequested "github.com/millrace/millrace/functions/notification-requested"
	"github.com/millrace/millrace/runtime/boot"
)

func main() { boot.Main(notificationrequested.Spec) }
