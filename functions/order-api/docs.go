package orderapi

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	_ "embed" // the page and its style
	"encoding/base64"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-json-experiment/json"
)

var (
	//go:embed docs.html.tmpl
	docsPage string
	//go:embed docs.css
	docsStyle string
)

// docsTemplate shows the description of the API to people. The usual viewers are scripts of megabytes that a page would load
// from a server of somebody else; this one has no script, so it works without a network and under the strictest policy.
var docsTemplate = template.Must(template.New("docs").Funcs(template.FuncMap{
	"bounds": boundsOf, "kind": kindOf, "ref": refOf, "required": slices.Contains[[]string, string],
}).Parse(docsPage))

// docs is what the template shows.
type docs struct {
	Info       *huma.Info
	Style      template.CSS
	Operations []*huma.Operation
	Schemas    map[string]*huma.Schema
	Kinds      []docsKind
}

// docsKind is a kind of problem.
type docsKind struct {
	Type, Title string
	Status      int
}

// addDocuments has mux answer with the description of an API that is complete, for programs and for people.
func addDocuments(mux *http.ServeMux, api *huma.OpenAPI) error {
	asJSON, err := json.Marshal(api)
	if err != nil {
		return err
	}
	asYAML, err := api.YAML()
	if err != nil {
		return err
	}
	page, policy, err := newPage(api)
	if err != nil {
		return err
	}
	serve := func(path, media, policy string, document []byte) {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", media)
			w.Header().Set("Content-Security-Policy", policy)
			_, _ = w.Write(document)
		})
	}
	serve(pathOpenAPI+".json", "application/openapi+json", policyOfData, asJSON)
	serve(pathOpenAPI+".yaml", "application/openapi+yaml", policyOfData, asYAML)
	serve(pathDocs, "text/html; charset=utf-8", policy, page)
	return nil
}

// policyOfData lets a browser do nothing with a document.
const policyOfData = "default-src 'none'"

// newPage returns the page about an API, and the policy that lets a browser use its style and nothing else.
func newPage(api *huma.OpenAPI) (page []byte, policy string, err error) {
	d := docs{
		Info: api.Info, Operations: operationsOf(api), Schemas: api.Components.Schemas.Map(),
		Style: template.CSS(docsStyle), //nolint:gosec // ours
	}
	for _, k := range kinds {
		d.Kinds = append(d.Kinds, docsKind{typeBase + k.name, k.title, k.status})
	}
	var text bytes.Buffer
	if err := docsTemplate.Execute(&text, d); err != nil {
		return nil, "", err
	}
	hash := sha256.Sum256([]byte(docsStyle))
	policy = fmt.Sprintf("default-src 'none'; style-src 'sha256-%s'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
		base64.StdEncoding.EncodeToString(hash[:]))
	return text.Bytes(), policy, nil
}

// operationsOf returns the operations by their paths, with what changes an order before what reads it.
func operationsOf(api *huma.OpenAPI) []*huma.Operation {
	var all []*huma.Operation
	for _, item := range api.Paths {
		for _, op := range []*huma.Operation{item.Get, item.Post} {
			if op != nil {
				all = append(all, op)
			}
		}
	}
	slices.SortFunc(all, func(a, b *huma.Operation) int {
		return cmp.Or(strings.Compare(a.Path, b.Path), -strings.Compare(a.Method, b.Method))
	})
	return all
}

// refOf returns the name of the schema that s refers to, "" where it is one itself.
func refOf(s *huma.Schema) string {
	if s.Type == huma.TypeArray && s.Items != nil {
		s = s.Items
	}
	return s.Ref[strings.LastIndex(s.Ref, "/")+1:]
}

// kindOf says what a value is.
func kindOf(s *huma.Schema) string {
	switch {
	case len(s.OneOf) > 0:
		return "object or string"
	case s.Type == huma.TypeArray:
		return "list of"
	case s.Format != "":
		return s.Type + " (" + s.Format + ")"
	}
	return s.Type
}

// boundsOf says what a value must be.
func boundsOf(s *huma.Schema) string {
	var bounds []string
	add := func(name, least, most string) {
		if text := span(least, most); text != "" {
			bounds = append(bounds, text+name)
		}
	}
	add("", number(s.Minimum), number(s.Maximum))
	add(" characters", number(s.MinLength), number(s.MaxLength))
	add(" items", number(s.MinItems), number(s.MaxItems))
	if len(s.Enum) > 0 {
		bounds = append(bounds, strings.Trim(fmt.Sprint(s.Enum), "[]"))
	}
	if s.PatternDescription != "" {
		bounds = append(bounds, s.PatternDescription)
	}
	return strings.Join(bounds, "; ")
}

// span writes bounds, of which an empty one is none.
func span(least, most string) string {
	switch {
	case least != "" && most != "":
		return least + " to " + most
	case least != "":
		return "at least " + least
	case most != "":
		return "at most " + most
	}
	return ""
}

// number writes what p points to, "" for nil.
func number[N int | float64](p *N) string {
	if p == nil {
		return ""
	}
	return strconv.FormatFloat(float64(*p), 'f', -1, 64)
}
