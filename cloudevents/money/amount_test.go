package money_test

import (
	stdjson "encoding/json"
	"errors"
	"math/big"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"pgregory.net/rapid"

	"github.com/millrace/millrace/cloudevents/money"
)

func TestParse(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		text string
		want string
		err  error
	}{
		"cents":                       {text: "99.99", want: "99.99"},
		"integer":                     {text: "100", want: "100"},
		"zero at the end is kept":     {text: "49.50", want: "49.50"},
		"zero":                        {text: "0", want: "0"},
		"zero with places":            {text: "0.00", want: "0.00"},
		"negative zero":               {text: "-0", want: "0"},
		"negative":                    {text: "-12.5", want: "-12.5"},
		"drift of binary floats":      {text: "0.30000000000000004", want: "0.30000000000000004"},
		"exponent":                    {text: "1e2", want: "100"},
		"exponent with sign":          {text: "1.25E+1", want: "12.5"},
		"negative exponent":           {text: "-5e-7", want: "-0.0000005"},
		"exponent keeps the zeros":    {text: "4950e-2", want: "49.50"},
		"zero with any exponent":      {text: "0e999999999999", want: "0"},
		"largest":                     {text: "9999999999999999999", want: "9999999999999999999"},
		"smallest":                    {text: "0.0000000000000000001", want: "0.0000000000000000001"},
		"zeros that do not fit":       {text: "1.50000000000000000000000", want: "1.500000000000000000"},
		"20 digits":                   {text: "10000000000000000000", err: money.ErrRange},
		"20 digits, some behind":      {text: "1234567890.1234567891", err: money.ErrRange},
		"20 places":                   {text: "0.00000000000000000001", err: money.ErrRange},
		"exponent too large":          {text: "1e19", err: money.ErrRange},
		"exponent bomb":               {text: "1e999999999999999999999", err: money.ErrRange},
		"negative exponent bomb":      {text: "1e-999999999999999999999", err: money.ErrRange},
		"65 characters":               {text: "1." + strings.Repeat("0", 63), err: money.ErrRange},
		"long text":                   {text: strings.Repeat("1", 1<<20), err: money.ErrRange},
		"empty":                       {text: "", err: money.ErrSyntax},
		"not a number":                {text: "NaN", err: money.ErrSyntax},
		"infinity":                    {text: "Infinity", err: money.ErrSyntax},
		"sign alone":                  {text: "-", err: money.ErrSyntax},
		"plus":                        {text: "+1", err: money.ErrSyntax},
		"leading zero":                {text: "007", err: money.ErrSyntax},
		"nothing before the point":    {text: ".5", err: money.ErrSyntax},
		"nothing behind the point":    {text: "5.", err: money.ErrSyntax},
		"exponent without digits":     {text: "1e", err: money.ErrSyntax},
		"exponent with two signs":     {text: "1e-+1", err: money.ErrSyntax},
		"letters behind the exponent": {text: "1e1x", err: money.ErrSyntax},
		"thousands":                   {text: "1,000.00", err: money.ErrSyntax},
		"space":                       {text: " 1", err: money.ErrSyntax},
		"hexadecimal":                 {text: "0x10", err: money.ErrSyntax},
		"digits of another script":    {text: "١٢", err: money.ErrSyntax},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := money.Parse(tt.text)
			if !errors.Is(err, tt.err) {
				t.Fatalf("error %v, want %v", err, tt.err)
			}
			if err == nil && got.String() != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestErrorsDoNotQuoteWhatWasRead(t *testing.T) {
	t.Parallel()
	for _, text := range []string{`"secret"`, "secret", "12345678901234567890123", `"bad \x escape"`} {
		var a money.Amount
		err := a.UnmarshalJSON([]byte(text))
		if err == nil {
			t.Fatalf("%s was read", text)
		}
		if strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "12345") {
			t.Errorf("error quotes the text: %v", err)
		}
	}
}

func TestMustParsePanicsOnWhatIsNoNumber(t *testing.T) {
	t.Parallel()
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	money.MustParse("ten")
}

func TestNew(t *testing.T) {
	t.Parallel()
	got, err := money.New(-9999, 2)
	if err != nil || got.String() != "-99.99" {
		t.Errorf("New(-9999, 2) = %s, %v", got, err)
	}
	for _, scale := range []int{-1, money.MaxDigits + 1} {
		if _, err := money.New(1, scale); !errors.Is(err, money.ErrRange) {
			t.Errorf("New(1, %d): error %v", scale, err)
		}
	}
}

// The same value must come out of both JSON packages, since code outside of millrace uses the standard one.
func TestJSON(t *testing.T) {
	t.Parallel()
	type line struct {
		Price  money.Amount `json:"price"`
		Refund money.Amount `json:"refund,omitzero"`
	}
	tests := map[string]struct{ in, want string }{
		"number":                {`{"price":99.99}`, `{"price":99.99}`},
		"number in a string":    {`{"price":"49.50","refund":"1e2"}`, `{"price":49.50,"refund":100}`},
		"escapes in the string": {`{"price":"\u0034.5"}`, `{"price":4.5}`},
		"null":                  {`{"price":null,"refund":null}`, `{"price":0}`},
		"missing":               {`{}`, `{"price":0}`},
		"zero is left out":      {`{"price":0.00,"refund":0.00}`, `{"price":0.00}`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var strict, std line
			if err := json.Unmarshal([]byte(tt.in), &strict); err != nil {
				t.Fatal(err)
			}
			if err := stdjson.Unmarshal([]byte(tt.in), &std); err != nil {
				t.Fatal(err)
			}
			strictOut, strictErr := json.Marshal(strict)
			stdOut, stdErr := stdjson.Marshal(std)
			if err := errors.Join(strictErr, stdErr); err != nil {
				t.Fatal(err)
			}
			if string(strictOut) != tt.want || string(stdOut) != tt.want {
				t.Errorf("got %s and %s, want %s", strictOut, stdOut, tt.want)
			}
		})
	}
	for _, in := range []string{`{"price":""}`, `{"price":"x"}`, `{"price":true}`, `{"price":{}}`, `{"price":[1]}`, `{"price":1e400}`} {
		var l line
		if err := json.Unmarshal([]byte(in), &l); err == nil {
			t.Errorf("%s was read as %s", in, l.Price)
		}
	}
}

// amounts draws amounts of every size and scale.
func amounts() *rapid.Generator[money.Amount] {
	return rapid.Custom(func(t *rapid.T) money.Amount {
		digits := rapid.StringMatching(`[1-9][0-9]{0,18}`).Draw(t, "digits")
		scale := rapid.IntRange(0, money.MaxDigits).Draw(t, "scale")
		sign := rapid.SampledFrom([]string{"", "-"}).Draw(t, "sign")
		a, err := money.Parse(sign + digits + "e-" + big.NewInt(int64(scale)).String())
		if err != nil {
			t.Fatalf("%s%se-%d: %v", sign, digits, scale, err)
		}
		return a
	})
}

func rational(a money.Amount) *big.Rat {
	r, ok := new(big.Rat).SetString(a.String())
	if !ok {
		panic("no rational number: " + a.String())
	}
	return r
}

// Whatever is read is read exactly, and comes back from its own text.
func TestParseAgreesWithBigRat(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,22})?([eE][-+]?[0-9]{1,2})?`).Draw(t, "text")
		a, err := money.Parse(text)
		want, ok := new(big.Rat).SetString(text)
		if !ok {
			t.Fatalf("%s is not even a rational number", text)
		}
		if err != nil {
			if !errors.Is(err, money.ErrRange) || fits(want) && len(text) <= 64 {
				t.Fatalf("Parse(%s): %v", text, err)
			}
			return
		}
		if rational(a).Cmp(want) != 0 {
			t.Fatalf("Parse(%s) = %s", text, a)
		}
		again, err := money.Parse(a.String())
		if err != nil || again.String() != a.String() {
			t.Fatalf("%s comes back as %s, %v", a, again, err)
		}
	})
}

// fits tells whether r has at most MaxDigits digits, at most MaxDigits of them behind the point.
func fits(r *big.Rat) bool {
	limit := new(big.Int).Exp(big.NewInt(10), big.NewInt(money.MaxDigits), nil)
	scaled, ten := new(big.Rat).Abs(r), big.NewRat(10, 1)
	for range money.MaxDigits {
		if scaled.IsInt() {
			break
		}
		scaled.Mul(scaled, ten)
	}
	return scaled.IsInt() && scaled.Num().Cmp(limit) < 0
}

func TestArithmeticAgreesWithBigRat(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a, b := amounts().Draw(t, "a"), amounts().Draw(t, "b")
		n := rapid.Int64().Draw(t, "n")
		sum, sumErr := a.Add(b)
		difference, differenceErr := a.Sub(b)
		product, productErr := a.Mul(n)
		agree(t, "+", sum, sumErr, new(big.Rat).Add(rational(a), rational(b)))
		agree(t, "-", difference, differenceErr, new(big.Rat).Sub(rational(a), rational(b)))
		agree(t, "*", product, productErr, new(big.Rat).Mul(rational(a), new(big.Rat).SetInt64(n)))
		if got, want := a.Cmp(b), rational(a).Cmp(rational(b)); got != want || a.Equal(b) != (want == 0) {
			t.Fatalf("%s compared with %s is %d, want %d", a, b, got, want)
		}
		if a.Sign() != rational(a).Sign() || a.IsZero() != (a.Sign() == 0) {
			t.Fatalf("sign of %s is %d", a, a.Sign())
		}
	})
}

// agree fails unless got is exactly want, or the operation refused.
func agree(t *rapid.T, operation string, got money.Amount, err error, want *big.Rat) {
	t.Helper()
	if err != nil {
		if !errors.Is(err, money.ErrRange) {
			t.Fatalf("%s: %v", operation, err)
		}
		return
	}
	if rational(got).Cmp(want) != 0 {
		t.Fatalf("%s gives %s, want %s", operation, got, want.FloatString(money.MaxDigits))
	}
}

// Money of everyday size is never refused.
func TestEverydayMoneyAddsUp(t *testing.T) {
	t.Parallel()
	everyday := rapid.Custom(func(t *rapid.T) money.Amount {
		a, err := money.New(rapid.Int64Range(-1e15, 1e15).Draw(t, "units"), rapid.IntRange(0, 3).Draw(t, "scale"))
		if err != nil {
			t.Fatal(err)
		}
		return a
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b := everyday.Draw(t, "a"), everyday.Draw(t, "b")
		_, addErr := a.Add(b)
		_, subErr := a.Sub(b)
		_, mulErr := a.Mul(rapid.Int64Range(-1000, 1000).Draw(t, "n"))
		if err := errors.Join(addErr, subErr, mulErr); err != nil {
			t.Fatalf("%s and %s: %v", a, b, err)
		}
	})
}

func FuzzUnmarshalJSON(f *testing.F) {
	for _, seed := range []string{`99.99`, `"49.50"`, `null`, `1e2`, `-0`, `1e999999999`, `"\u0031"`, `{}`, ``, `"`, `00`, `1.e1`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var a money.Amount
		if err := a.UnmarshalJSON(data); err != nil {
			return
		}
		out, err := a.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		var again money.Amount
		if err := json.Unmarshal(out, &again); err != nil || again.String() != a.String() {
			t.Fatalf("%q is written as %s and comes back as %s, %v", data, out, again, err)
		}
		if want, ok := new(big.Rat).SetString(string(data)); ok && rational(a).Cmp(want) != 0 {
			t.Fatalf("%s is read as %s", data, a)
		}
	})
}
