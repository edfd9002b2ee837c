package command

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/service"
	"github.com/parley-go/parley/service/internal/servicetest"
)

func TestDoctorNamesTheLineThatFeedsAHandler(t *testing.T) {
	flags := []string{"doctor", "--broker-url=memory:", "--database-url=sqlite:" + filepath.Join(t.TempDir(), "x.db"),
		"--exchanges=user", "--queues={orders: {binds: [[user, other]]}}"}
	code, out, errs := callWith(t, unboundHandler, nil, flags...)
	if code == ExitOK {
		t.Errorf("exit code %d, want a problem\n%s%s", code, out, errs)
	}
	wantText(t, out, "gets no messages", "binds")
}

func TestDoctorChecksTheExchangesOfAutomaticBindings(t *testing.T) {
	name := testenv.Unique(t, "parley_auto")
	servicetest.CleanUp(t, name)
	register := func(s *service.Service) error {
		s.Router.HandleFunc(name, "renamed", func(context.Context, *parley.Delivery) error { return nil })
		return nil
	}
	code, out, errs := callWith(t, register, nil, "doctor", sqliteURL(t), "--broker-url="+testenv.RabbitMQ(t), "--queue="+name, "--binds=auto")
	if code != ExitFailed {
		t.Errorf("exit code %d, want %d: the consumer cannot subscribe\n%s", code, ExitFailed, errs)
	}
	wantText(t, out, `problem  exchange "`+name+`" of a binding: does not exist`)
}
