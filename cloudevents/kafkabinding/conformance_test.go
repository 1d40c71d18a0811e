package kafkabinding_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/millrace/millrace/cloudevents/cloudeventstest"
	"github.com/millrace/millrace/cloudevents/kafkabinding"
)

func TestBindingCases(t *testing.T) {
	t.Parallel()
	for _, c := range cloudeventstest.BindingCases() {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			got, err := kafkabinding.Decode(c.Message)
			var defect *kafkabinding.DecodeError
			switch {
			case c.NotCloudEvent:
				if !errors.Is(err, kafkabinding.ErrNotCloudEvent) {
					t.Fatalf("Decode: %v, want ErrNotCloudEvent", err)
				}
			case c.Fault != nil:
				if !errors.As(err, &defect) {
					t.Fatalf("Decode: event %v, error %v, want a DecodeError", got, err)
				}
				if diff := cmp.Diff(c.Fault, defect, cmpopts.IgnoreFields(*defect, "Reason")); diff != "" {
					t.Errorf("fault differs (-want +got):\n%s%v", diff, err)
				}
			case err != nil:
				t.Fatal(err)
			default:
				cloudeventstest.Equal(t, *c.Want, got)
				if err := got.Validate(); err != nil {
					t.Errorf("the SDK's validation: %v", err)
				}
			}
		})
	}
}
