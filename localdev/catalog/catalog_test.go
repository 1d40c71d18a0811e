package catalog_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"github.com/millrace/millrace/infra"
	"github.com/millrace/millrace/localdev/catalog"
)

func ExampleFunctions() {
	for _, spec := range catalog.Functions() {
		spec, err := spec.Complete()
		fmt.Println(spec.Name, spec.Topic, spec.Group, err)
	}
	// Output:
	// order-created order-events notification-service-orders <nil>
	// order-paid order-events notification-service-orders <nil>
	// order-shipped order-events notification-service-orders <nil>
	// order-cancelled order-events notification-service-orders <nil>
	// user-registered user-events notification-service-users <nil>
	// product-out-of-stock product-events notification-service-products <nil>
	// notification-requested notification-events notification-requested <nil>
	// order-process order-events order-process <nil>
	// order-view order-events order-view <nil>
	// payment order-events payment <nil>
	// inventory order-events inventory <nil>
}

func ExampleServices() {
	for _, service := range catalog.Services() {
		fmt.Println(service.Name, "keeps the database", catalog.Database(service.Name))
	}
	// Output:
	// order-api keeps the database orders
}

func TestEveryFunctionIsListed(t *testing.T) {
	t.Parallel()
	var listed []string
	for _, spec := range catalog.Functions() {
		listed = append(listed, spec.Name)
	}
	folders, err := filepath.Glob("../../functions/*/spec.go")
	if err != nil || len(folders) == 0 {
		t.Fatalf("%d functions found: %v", len(folders), err)
	}
	for _, file := range folders {
		if name := filepath.Base(filepath.Dir(file)); !slices.Contains(listed, name) {
			t.Errorf("function %s is not in the catalog", name)
		}
	}
}

func TestEveryTopicIsCreated(t *testing.T) {
	t.Parallel()
	var topics []string
	for _, topic := range infra.Topics() {
		topics = append(topics, topic.Name)
	}
	for _, spec := range catalog.Functions() {
		if !slices.Contains(topics, spec.Topic) {
			t.Errorf("function %s reads %s, which infra/topics.yaml does not have", spec.Name, spec.Topic)
		}
	}
}
