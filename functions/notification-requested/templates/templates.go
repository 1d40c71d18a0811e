// Package templates turns the name of a template and the data of a notification into words.
//
// Each template is three files beside this one: NAME.subject.txt.tmpl, NAME.txt.tmpl and NAME.html.tmpl, which defines
// "content" and is set into layout.html.tmpl. A new template is three new files. The texts are written with
// text/template, the page with html/template, which escapes for the place where a value stands; data is never parsed as
// a template, and no template makes a link out of data.
//
// Templates see the members of the data that are texts, numbers or booleans, as text, digit for digit: {{.orderId}}. A
// member that is not there is an empty text, so that {{with .amount}} … {{end}} leaves out what is not known. The
// function date writes a time or date of RFC 3339 for people and leaves other texts alone.
//
// It imports the standard library and the JSON packages.
package templates

import (
	"embed"
	"errors"
	"fmt"
	htmltemplate "html/template"
	"io/fs"
	"strings"
	"text/template"
	"unicode"

	"github.com/go-json-experiment/json/jsontext"
)

//go:embed *.tmpl
var files embed.FS

// The limits of what is rendered, in bytes.
const (
	maxData    = 64 << 10
	maxSubject = 512
)

// ErrUnknown says that there is no template of that name.
var ErrUnknown = errors.New("unknown template")

// Words are what somebody is told.
type Words struct {
	// Subject is one line, without control characters.
	Subject string
	// Text is for mail readers without HTML, for text messages and alerts.
	Text string
	HTML string
}

// Set holds the templates. It may be used by many goroutines at once.
type Set struct{ byName map[string]*entry }

type entry struct {
	subject, text *template.Template
	html          *htmltemplate.Template
}

// Parse reads the embedded templates. It fails only where one of the files is malformed.
func Parse() (*Set, error) { return parse(files) }

func parse(dir fs.FS) (*Set, error) {
	const subject = ".subject.txt.tmpl"
	names, err := fs.Glob(dir, "*"+subject)
	if err != nil {
		return nil, err
	}
	s := &Set{byName: make(map[string]*entry, len(names))}
	for _, file := range names {
		name := strings.TrimSuffix(file, subject)
		if s.byName[name], err = parseEntry(dir, name); err != nil {
			return nil, fmt.Errorf("template %s: %w", name, err)
		}
	}
	return s, nil
}

func parseEntry(dir fs.FS, name string) (*entry, error) {
	text := func(file string) (*template.Template, error) {
		return template.New(file).Option("missingkey=zero").Funcs(template.FuncMap{"date": date}).ParseFS(dir, file)
	}
	subject, err := text(name + ".subject.txt.tmpl")
	if err != nil {
		return nil, err
	}
	body, err := text(name + ".txt.tmpl")
	if err != nil {
		return nil, err
	}
	html, err := htmltemplate.New("layout.html.tmpl").Funcs(htmltemplate.FuncMap{"date": date}).
		ParseFS(dir, "layout.html.tmpl", name+".html.tmpl")
	if err != nil {
		return nil, err
	}
	return &entry{subject: subject, text: body, html: html}, nil
}

// Render fills the template called name with data, a JSON object of at most 64 KiB or nothing. It fails with
// [ErrUnknown], and when data is not such an object or would break the subject line. No repetition mends that. The
// errors do not quote data.
func (s *Set) Render(name string, data jsontext.Value) (Words, error) {
	e, ok := s.byName[name]
	if !ok {
		return Words{}, fmt.Errorf("%w %.64q", ErrUnknown, name)
	}
	values, err := scalars(data)
	if err != nil {
		return Words{}, fmt.Errorf("data for template %s: %w", name, err)
	}
	words, err := e.render(values)
	if err != nil {
		return Words{}, fmt.Errorf("template %s: %w", name, err)
	}
	return words, nil
}

func (e *entry) render(values map[string]string) (Words, error) {
	subject, err := executed(e.subject, values)
	if err != nil {
		return Words{}, err
	}
	if subject = strings.TrimSuffix(subject, "\n"); !isHeaderLine(subject) {
		return Words{}, fmt.Errorf("the subject would have control characters or more than %d bytes", maxSubject)
	}
	for name, value := range values {
		values[name] = printable(value)
	}
	text, err := executed(e.text, values)
	if err != nil {
		return Words{}, err
	}
	html, err := executed(e.html, values)
	if err != nil {
		return Words{}, err
	}
	return Words{Subject: subject, Text: text, HTML: html}, nil
}

func isHeaderLine(line string) bool {
	return len(line) <= maxSubject && !strings.ContainsFunc(line, breaksLine)
}

// breaksLine finds the control characters, and the separators that some programs take for the end of a line.
func breaksLine(r rune) bool { return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' }

// printable replaces the control characters of text but line ends and tabs: they can redraw a terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return unicode.ReplacementChar
		}
		return r
	}, strings.ReplaceAll(text, "\r\n", "\n"))
}
