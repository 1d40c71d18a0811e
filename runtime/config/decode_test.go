package config

import (
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// What decode reads is what go-envconfig reads.
func TestDecodeAgreesWithTheLibrary(t *testing.T) {
	t.Parallel()
	type word string
	for _, kind := range []reflect.Type{
		reflect.TypeFor[string](), reflect.TypeFor[word](), reflect.TypeFor[bool](), reflect.TypeFor[[]string](), reflect.TypeFor[[]word](),
		reflect.TypeFor[int](), reflect.TypeFor[int8](), reflect.TypeFor[int64](), reflect.TypeFor[uint16](), reflect.TypeFor[uint64](),
		reflect.TypeFor[float32](), reflect.TypeFor[float64](), reflect.TypeFor[time.Duration](), reflect.TypeFor[Secret](),
	} {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) {
				raw := rapid.OneOf(
					rapid.String(),
					rapid.StringMatching(`[-+]?(0x)?[0-9a-f_]{0,20}(\.[0-9]{0,3})?(e[0-9]{1,3})?(ms|s|h|,| )?[0-9]?`),
					rapid.SampledFrom([]string{"", "true", "F", "1", "0", "1h30m", "a, b ,c", ",", "NaN", "-Inf", "255", "256", "127"}),
				).Draw(t, "raw")
				got, gotErr := decode(kind, raw)
				want, wantErr := decodeTagged(kind, "NAME", func(string) (string, bool) { return raw, true })
				if (gotErr == nil) != (wantErr == nil) {
					t.Fatalf("error %v, want %v", gotErr, wantErr)
				}
				same := reflect.DeepEqual(got.Interface(), want.Interface()) || got.CanFloat() && got.Float() != got.Float()
				if gotErr == nil && !same {
					t.Fatalf("%#v, want %#v", got, want)
				}
			})
		})
	}
}
