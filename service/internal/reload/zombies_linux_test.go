package reload

import (
	"os/exec"
	"testing"
	"time"
)

func TestAGroupOfZombiesHasExited(t *testing.T) {
	cmd := exec.Command("sh", "-c", "read line")
	ownGroup(cmd)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if onlyZombies(cmd.Process.Pid) || !groupRuns(cmd) {
		t.Error("a running program is reported as a zombie")
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	for late := time.Now().Add(patience); groupRuns(cmd); <-time.After(10 * time.Millisecond) { // a zombie: the test has not waited for it yet
		if time.Now().After(late) {
			t.Fatalf("a zombie runs after %v", patience)
		}
	}
	_ = cmd.Wait() // its exit code says that there was no line
	if groupRuns(cmd) {
		t.Error("the group runs although it does not exist any more")
	}
}
