package stack

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/millrace/millrace/localdev/cluster"
	"github.com/millrace/millrace/localdev/trigger/template"
)

// maxTemplate is what AWS takes, and what is read of a file at most.
const maxTemplate = 1 << 20

// File is a template that was read.
type File struct {
	// Path is the file, Root the folder that its folders of code are relative to.
	Path, Root string
	// Functions are the functions of the template, in its order.
	Functions []Function
	// Warnings and Notes are those of [template.Template].
	Warnings, Notes []string
}

// Function is a function of a template.
type Function struct {
	template.Function

	// Label is what people call it: the name of its folder of code, or its logical id where that says nothing.
	Label string
}

// Enabled are the mappings that AWS would poll.
func (f *Function) Enabled() []template.Mapping {
	return slices.DeleteFunc(slices.Clone(f.Mappings), func(m template.Mapping) bool { return !m.Enabled })
}

// TemplateError says that a template cannot be read, or is none that AWS would take.
type TemplateError struct {
	Path string
	Err  error
}

func (e *TemplateError) Error() string { return fmt.Sprintf("%s: %v", e.Path, e.Err) }

// Unwrap returns the cause.
func (e *TemplateError) Unwrap() error { return e.Err }

// NoTemplateError says that neither a folder nor those above it hold a template.
type NoTemplateError struct{ Dir string }

func (e *NoTemplateError) Error() string {
	return fmt.Sprintf("there is no template.yaml in %s or above it", e.Dir)
}

// UnknownFunctionError says that a template has no such function.
type UnknownFunctionError struct {
	Name, Template string
	// Closest are the names of functions that are there, the most similar first.
	Closest []string
}

func (e *UnknownFunctionError) Error() string {
	return fmt.Sprintf("%s has no function %q", e.Template, e.Name)
}

// Find returns the template of dir, or of the nearest folder above it. Without one the error is a [*NoTemplateError].
func Find(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	for at := dir; ; at = filepath.Dir(at) {
		for _, name := range []string{"template.yaml", "template.yml"} {
			file := filepath.Join(at, name)
			if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() {
				return file, nil
			}
		}
		if at == filepath.Dir(at) {
			return "", &NoTemplateError{Dir: dir}
		}
	}
}

// Load reads a template, of at most 1 MiB. parameters override the defaults of the template's own. What is wrong with the
// file is a [*TemplateError].
func Load(file string, parameters map[string]string) (*File, error) {
	data, err := read(file)
	if err != nil {
		return nil, &TemplateError{Path: file, Err: err}
	}
	parsed, err := template.Parse(data, &template.Options{Parameters: parameters})
	if err != nil {
		return nil, &TemplateError{Path: file, Err: err}
	}
	f := &File{Path: file, Root: filepath.Dir(file), Warnings: parsed.Warnings, Notes: parsed.Notes}
	for _, function := range parsed.Functions {
		f.Functions = append(f.Functions, Function{Function: function})
	}
	f.label()
	return f, nil
}

func read(file string) ([]byte, error) {
	opened, err := os.Open(file)
	if err != nil {
		if cause, ok := errors.AsType[*fs.PathError](err); ok {
			return nil, cause.Err // the path is told already
		}
		return nil, err
	}
	defer opened.Close()
	return io.ReadAll(io.LimitReader(opened, maxTemplate+1))
}

// label names the functions, each differently.
func (f *File) label() {
	used := map[string]int{}
	for i := range f.Functions {
		f.Functions[i].Label = folder(f.Functions[i].CodeURI)
		used[f.Functions[i].Label]++
	}
	for i := range f.Functions {
		if label := &f.Functions[i].Label; *label == "" || used[*label] > 1 {
			*label = f.Functions[i].LogicalID
		}
	}
}

// folder is the folder that gives a function its name: "order-created" of functions/order-created/bootstrap.
func folder(code string) string {
	code = path.Clean(strings.ReplaceAll(code, `\`, "/"))
	if path.Base(code) == "bootstrap" {
		code = path.Dir(code)
	}
	if name := path.Base(code); name != "." && name != ".." && name != "/" {
		return name
	}
	return ""
}

// Select returns the functions of these names: labels, logical ids or names. One that is not there is an
// [*UnknownFunctionError]. Without names it returns the functions that have a mapping that is enabled.
func (f *File) Select(names ...string) ([]Function, error) {
	var selected []Function
	if len(names) == 0 {
		for i := range f.Functions {
			if len(f.Functions[i].Enabled()) > 0 {
				selected = append(selected, f.Functions[i])
			}
		}
		return selected, nil
	}
	seen := map[string]bool{}
	for _, name := range names {
		function, err := f.function(name)
		if err != nil {
			return nil, err
		}
		if !seen[function.LogicalID] {
			seen[function.LogicalID] = true
			selected = append(selected, function)
		}
	}
	return selected, nil
}

func (f *File) function(name string) (Function, error) {
	var known []string
	for _, function := range f.Functions {
		if name == function.Label || name == function.LogicalID || name == function.Name {
			return function, nil
		}
		known = append(known, function.Label, function.LogicalID)
	}
	slices.Sort(known)
	return Function{}, &UnknownFunctionError{Name: name, Template: f.Path, Closest: cluster.Closest(name, slices.Compact(known), 3)}
}
