package command

import (
	"path/filepath"
	"testing"
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
