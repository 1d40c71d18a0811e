// Command generate writes the files that deployments are made from and that follow from the Specs of the functions and
// the list of topics: template.yaml, infra/msk.yaml, and an event of Amazon MSK for each function.
//
// It imports the catalogue of functions, infra, and what writes events.
package main

import (
	"bytes"
	"embed"
	"fmt"
	"os"
	"path"
	"text/template"

	"github.com/millrace/millrace/infra"
)

//go:generate go run . ../../..

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: generate ROOT, the folder of the module")
		os.Exit(2)
	}
	if err := write(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func write(folder string) error {
	root, err := os.OpenRoot(folder)
	if err != nil {
		return err
	}
	defer root.Close()
	files, err := render(root)
	if err != nil {
		return err
	}
	for name, text := range files {
		if err := root.MkdirAll(path.Dir(name), 0o755); err != nil {
			return err
		}
		if err := root.WriteFile(name, text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// render returns what the files hold, by their names below root. The events are made of the functions' testdata there.
func render(root *os.Root) (map[string][]byte, error) {
	functions, err := allFunctions()
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	files["template.yaml"], err = execute("template.yaml.tmpl", struct {
		Functions   []lambdaFunction
		Databases   []lambdaDatabase
		DeadLetters string
	}{functions, databasesOf(functions), deadLetters})
	if err != nil {
		return nil, err
	}
	cluster, err := newMSKData(infra.Topics())
	if err != nil {
		return nil, err
	}
	files["infra/msk.yaml"], err = execute("msk.yaml.tmpl", cluster)
	if err != nil {
		return nil, err
	}
	for _, f := range functions {
		if f.IsService() {
			continue
		}
		text, err := mskEvent(root, f)
		if err != nil {
			return nil, fmt.Errorf("the event of function %s: %w", f.Name, err)
		}
		files[path.Join("functions", f.Name, "testdata", "msk.json")] = text
	}
	return files, nil
}

//go:embed *.tmpl
var templates embed.FS

// execute fills in a template. Its actions stand between <% and %>, for CloudFormation has a use for braces.
func execute(name string, data any) ([]byte, error) {
	t, err := template.New(name).Delims("<%", "%>").Option("missingkey=error").ParseFS(templates, name)
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	if err := t.Execute(&text, data); err != nil {
		return nil, err
	}
	return text.Bytes(), nil
}
