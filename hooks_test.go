package parley_test

import (
	"reflect"
	"slices"
	"testing"

	"github.com/parley-go/parley"
)

func TestHooksComposeInTheOrderOfTheirRegistration(t *testing.T) {
	checkThen(t, parley.RelayHooks.Then)
	checkThen(t, parley.ConsumerHooks.Then)
}

// checkThen checks every field of H, also those that are added later.
func checkThen[H any](t *testing.T, then func(first, second H) H) {
	t.Helper()
	var calls []string
	hooks := func(name string) (h H) {
		v := reflect.ValueOf(&h).Elem()
		for i := range v.NumField() {
			note := name + " " + v.Type().Field(i).Name
			v.Field(i).Set(reflect.MakeFunc(v.Field(i).Type(), func([]reflect.Value) []reflect.Value {
				calls = append(calls, note)
				return nil
			}))
		}
		return h
	}
	var none H
	for _, tt := range []struct {
		composed H
		names    []string
	}{
		{then(hooks("first"), hooks("second")), []string{"first", "second"}},
		{then(then(hooks("first"), hooks("second")), hooks("third")), []string{"first", "second", "third"}},
		{then(hooks("first"), none), []string{"first"}},
		{then(none, hooks("second")), []string{"second"}},
		{then(none, none), nil},
	} {
		v := reflect.ValueOf(tt.composed)
		for i := range v.NumField() {
			field := v.Type().Field(i)
			var want []string
			for _, name := range tt.names {
				want = append(want, name+" "+field.Name)
			}
			calls = nil
			if f := v.Field(i); !f.IsNil() {
				arguments := make([]reflect.Value, f.Type().NumIn())
				for j := range arguments {
					arguments[j] = reflect.Zero(f.Type().In(j))
				}
				f.Call(arguments)
			} else if want != nil {
				t.Errorf("%v.%s is nil", v.Type(), field.Name)
			}
			if !slices.Equal(calls, want) {
				t.Errorf("%v.%s called %q, want %q", v.Type(), field.Name, calls, want)
			}
		}
	}
}
