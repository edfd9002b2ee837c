package main

import (
	"strings"
	"testing"

	"github.com/parley-go/parley/internal/testenv"
)

func TestTheCommittedEventArrivesThroughRabbitMQAndTheRolledBackOneDoesNot(t *testing.T) {
	var out strings.Builder
	if err := run(t.Context(), &out, testenv.Postgres(t), testenv.RabbitMQ(t)); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	want := `Bob: the name is taken
Ada: committed
received through RabbitMQ: event 2, "renamed": Ada
the event of the rolled-back transaction did not arrive
`
	if out.String() != want {
		t.Errorf("printed:\n%s\nwant:\n%s", &out, want)
	}
}
