package otelparley_test

import (
	"reflect"
	"testing"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/otelparley"
)

func TestTelemetryCallsEveryHookOfTheUser(t *testing.T) {
	telemetry := must(otelparley.New(nil))
	var called map[string]bool
	checkHooks(t, &called, func(h parley.RelayHooks) parley.RelayHooks {
		return telemetry.Relay(&parley.RelayConfig{Hooks: h}).Hooks
	})
	checkHooks(t, &called, func(h parley.ConsumerHooks) parley.ConsumerHooks {
		return telemetry.Consumer(&parley.ConsumerConfig{Hooks: h}).Hooks
	})
}

// checkHooks sets every field of H, also future ones, and calls each hook that wrap returns.
func checkHooks[H any](t *testing.T, called *map[string]bool, wrap func(H) H) {
	t.Helper()
	*called = map[string]bool{}
	var hooks H
	v := reflect.ValueOf(&hooks).Elem()
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		v.Field(i).Set(reflect.MakeFunc(v.Field(i).Type(), func([]reflect.Value) []reflect.Value {
			(*called)[name] = true
			return nil
		}))
	}
	wrapped := reflect.ValueOf(wrap(hooks))
	for i := range wrapped.NumField() {
		f := wrapped.Field(i)
		arguments := make([]reflect.Value, f.Type().NumIn())
		for j := range arguments {
			arguments[j] = reflect.Zero(f.Type().In(j))
			if f.Type().In(j) == reflect.TypeFor[parley.ConsumerReport]() {
				arguments[j] = reflect.ValueOf(parley.ConsumerReport{Delivery: &parley.Delivery{}})
			}
		}
		f.Call(arguments)
		if name := wrapped.Type().Field(i).Name; !(*called)[name] {
			t.Errorf("%v.%s of the user is not called", wrapped.Type(), name)
		}
	}
}
