// Command generate writes the JSON Schema documents of the payload types into the working directory, which must be that
// of the package schemas: run it with go generate.
package main

import (
	"fmt"
	"os"

	"github.com/millrace/millrace/cloudevents/schemas/internal/document"
)

func main() {
	if err := write(); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func write() error {
	documents, err := document.All()
	if err != nil {
		return err
	}
	for name, text := range documents {
		if err := os.WriteFile(name, text, 0o644); err != nil {
			return err
		}
	}
	return nil
}
