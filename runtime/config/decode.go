package config

import (
	"reflect"
	"strconv"
	"strings"
	"time"
)

// decode returns the value of type t that raw stands for, as go-envconfig reads it: the zero value for an empty text. t is of
// one of the kinds that need no decoder of their own. A process reads a hundred variables when it starts, and on Lambda
// somebody waits for it: a struct for each, as go-envconfig wants it, takes ten times as long.
func decode(t reflect.Type, raw string) (reflect.Value, error) {
	v := reflect.New(t).Elem()
	return v, set(v, raw)
}

func set(v reflect.Value, raw string) error {
	var err error
	switch {
	case raw == "":
	case v.Type() == secretType:
		v.Set(reflect.ValueOf(NewSecret(raw)))
	case v.Type() == durationType:
		var d time.Duration
		d, err = time.ParseDuration(raw)
		v.SetInt(int64(d))
	case v.Kind() == reflect.String:
		v.SetString(raw)
	case v.Kind() == reflect.Bool:
		var b bool
		b, err = strconv.ParseBool(raw)
		v.SetBool(b)
	case v.Kind() == reflect.Slice:
		setList(v, strings.Split(raw, ","))
	default:
		err = setNumber(v, raw)
	}
	return err
}

func setList(v reflect.Value, items []string) {
	v.Set(reflect.MakeSlice(v.Type(), len(items), len(items)))
	for i, item := range items {
		v.Index(i).SetString(strings.TrimSpace(item))
	}
}

// setNumber takes the bases that Go's own literals have.
func setNumber(v reflect.Value, raw string) error {
	bits := v.Type().Bits()
	switch {
	case v.CanInt():
		n, err := strconv.ParseInt(raw, 0, bits)
		v.SetInt(n)
		return err
	case v.CanUint():
		n, err := strconv.ParseUint(raw, 0, bits)
		v.SetUint(n)
		return err
	default:
		n, err := strconv.ParseFloat(raw, bits)
		v.SetFloat(n)
		return err
	}
}
