package main

import (
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/parley-go/parley/internal/testenv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// want is the output of the shop. The order of the lines varies.
var want = []string{
	"Ada has a photo: 1 reminder cancelled",
	"pricing answered call: 10 texts cost 50 cents",
	"sms to Ada: Welcome",
	"sms to Bob: Please add a photo",
	"sms to Bob: Welcome",
	"the REST API says: a text costs 5 cents",
}

func TestTheShopWorksEmbedded(t *testing.T) {
	var out strings.Builder
	err := runEmbedded(t.Context(), &out)
	compare(t, err, out.String())
}

func TestTheShopWorksOnServers(t *testing.T) {
	var out strings.Builder
	err := runOnServers(t.Context(), &out, testenv.Postgres(t), testenv.RabbitMQ(t))
	compare(t, err, out.String())
}

func compare(t *testing.T, err error, out string) {
	t.Helper()
	if err != nil {
		t.Errorf("run: %v", err)
	}
	got := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("printed:\n%s\nwant, in whatever order:\n%s", out, strings.Join(want, "\n"))
	}
}
