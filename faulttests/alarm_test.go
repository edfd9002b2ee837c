//go:build unix

package faulttests_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/rabbitmq"
)

// During an alarm the broker does not read from connections that have published. So it does not answer when they are closed.
func TestTheDoctorAndAStopEndDuringAMemoryAlarm(t *testing.T) {
	needAll(t)
	t.Parallel()
	s := privateRabbitMQ(t)
	blocked := make(chan string, 16)
	b, err := rabbitmq.New(&rabbitmq.Config{URL: s.url, Hooks: rabbitmq.Hooks{Blocked: func(reason string) { blocked <- reason }}})
	if err != nil {
		t.Fatal(err)
	}
	s.control("set_vm_memory_high_watermark", "absolute", "1000000")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	ended := make(chan string, 2)
	go func() { ended <- fmt.Sprint(b.Diagnose(ctx)) }()
	endsWithin(t, "the doctor", ended, 15*time.Second)

	go func() { b.Publish(ctx, []parley.Message{{RoutingKey: "no.queue", Body: []byte("{}")}}) }()
	select {
	case reason := <-blocked:
		t.Logf("the broker blocks publications: %s", reason)
	case <-time.After(patience):
		t.Fatal("the broker does not block publications")
	}
	go func() { ended <- fmt.Sprint(b.Close(context.WithoutCancel(ctx))) }()
	endsWithin(t, "the stop", ended, 10*time.Second)
}

func endsWithin(t *testing.T, what string, ended <-chan string, limit time.Duration) {
	t.Helper()
	begin := time.Now()
	select {
	case result := <-ended:
		t.Logf("%s ended after %v: %s", what, time.Since(begin).Round(time.Millisecond), result)
	case <-time.After(limit):
		t.Fatalf("%s has not ended after %v", what, limit)
	}
}
