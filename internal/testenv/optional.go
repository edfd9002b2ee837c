package testenv

import "testing"

// optional are the variables that a full run (PARLEY_TEST_ALL=1) does not require, with what their tests need. No test
// may skip for another variable without failing the full run.
var optional = map[string]string{
	"PARLEY_FAULTS":                       "it starts servers of its own or takes minutes, and make faults runs it",
	"PARLEY_FAULTS_SOAK":                  "it runs as long as one chooses, and make soak runs it",
	"PARLEY_TEST_RABBITMQ_CLUSTER_URLS":   "it needs a RabbitMQ cluster, and make test starts one node only",
	"PARLEY_TEST_RABBITMQ_MANAGEMENT_URL": "it needs the management plugin, and make test starts RabbitMQ without plugins",
	"PARLEY_TEST_RABBITMQ4_URL":           "it needs RabbitMQ 4.0 or later, and make test takes the version of the machine",
	"PARLEY_HELM":                         "it needs helm, and make deploy-check builds it",
	"PARLEY_TEST_IMAGE":                   "it needs root, Linux and a minute, and make image-check runs it",
	"PARLEY_BENCH_BEFORE":                 "it compares with the test binary of an earlier version, which has to be built first",
}

// SkipOptional skips the test because an optional variable is not set. value is what to set it to. The variable must be
// one of the table in this file; the table gives the reason.
func SkipOptional(t testing.TB, variable, value string) {
	t.Helper()
	reason, ok := optional[variable]
	if !ok {
		t.Fatalf("testenv: %s is not optional: use testenv.Skip, or add it to internal/testenv/optional.go with the reason", variable)
	}
	note(t, "skip", variable, reason)
	t.Skipf("%s (set %s=%s to run this test)", reason, variable, value)
}

// Optional returns the optional variables, with the reasons.
func Optional() map[string]string { return optional }
