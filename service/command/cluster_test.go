package command

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/rabbitmq"
	"github.com/parley-go/parley/service/internal/management"
	"github.com/parley-go/parley/service/internal/servicetest"
)

// cluster returns the URLs of the nodes of a RabbitMQ cluster, for the virtual host of the sample definitions, and of its management
// API.
func cluster(t *testing.T) (nodes []string, api string) {
	t.Helper()
	const urlsVariable, managementVariable = "PARLEY_TEST_RABBITMQ_CLUSTER_URLS", "PARLEY_TEST_RABBITMQ_MANAGEMENT_URL"
	if os.Getenv(urlsVariable) == "" {
		testenv.SkipOptional(t, urlsVariable, "amqp://guest:guest@host1/,…")
	}
	if os.Getenv(managementVariable) == "" {
		testenv.SkipOptional(t, managementVariable, "http://guest:guest@host1:15672")
	}
	for text := range strings.SplitSeq(os.Getenv(urlsVariable), ",") {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		u.Path = "/shop"
		nodes = append(nodes, u.String())
	}
	return nodes, os.Getenv(managementVariable)
}

// importDefinitions does what `rabbitmqctl import_definitions docs/rabbitmq-definitions.json` does, and gives guest access.
func importDefinitions(t *testing.T, api string) {
	t.Helper()
	text, err := os.ReadFile("../../docs/rabbitmq-definitions.json")
	if err != nil {
		t.Fatal(err)
	}
	send := func(method, path string, body []byte) {
		r, err := http.NewRequestWithContext(t.Context(), method, api+path, bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if answer.Body.Close(); answer.StatusCode >= 300 {
			t.Fatalf("%s %s: status %d", method, path, answer.StatusCode)
		}
	}
	send(http.MethodPost, "/api/definitions", text)
	send(http.MethodPut, "/api/permissions/shop/guest", []byte(`{"configure": ".*", "write": ".*", "read": ".*"}`))
	http.DefaultClient.CloseIdleConnections()
}

func TestTheSampleDefinitionsAndTheDoctorOnARealCluster(t *testing.T) {
	nodes, api := cluster(t)
	importDefinitions(t, api)
	name := testenv.Unique(t, "parley_cluster")
	b, err := rabbitmq.New(&rabbitmq.Config{URLs: nodes})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), servicetest.Patience)
		defer cancel()
		var errs []error
		for _, queue := range []string{"orders", "lost", name + ".low", name + ".classic"} {
			errs = append(errs, b.DeleteQueue(ctx, queue))
		}
		if err := errors.Join(append(errs, b.DeleteExchange(ctx, name), b.Close(ctx))...); err != nil {
			t.Error(err)
		}
	})
	file := filepath.Join(t.TempDir(), "s.yaml")
	doc := `
broker: {urls: ["` + strings.Join(nodes, `", "`) + `"], queue_type: quorum, management_url: "` + api + `"}
exchanges: [` + name + `]
queues:
  orders: {binds: [` + name + `], arguments: {x-single-active-consumer: true}}
  lost: {binds: [` + name + `]}
  ` + name + `.low: {binds: [` + name + `], arguments: {x-delivery-limit: 5}}
  ` + name + `.classic: {binds: [` + name + `], type: classic}
`
	if err := os.WriteFile(file, []byte(doc), 0o600); err != nil {
		t.Fatal(err)
	}
	mustCall(t, ExitOK, "topology", "apply", "--settings="+file)
	var out string
	servicetest.Await(t, "the management plugin shows the queues", func() error {
		if out = mustCall(t, ExitOK, "doctor", "--settings="+file); !strings.Contains(out, `queue "`+name+`.low": quorum queue`) {
			return errors.New(out)
		}
		return nil
	})
	wantText(t, out, "nodes, all running", `queue "orders": quorum queue, leader on`, `queue "`+name+`.low": the broker drops a message after 5 redeliveries`,
		`queue "`+name+`.classic": is a classic queue on`)
	if strings.Contains(out, "held for up to 60 s") {
		t.Errorf("a queue that parley has declared lacks x-consumer-disconnected-timeout: %s", out)
	}
	client, err := management.New(api, "", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	q, err := client.Queue(t.Context(), "shop", "orders")
	if err != nil || q == nil {
		t.Fatal(q, err)
	}
	if limit, limited := q.Limit(); limit != 1000 || !limited || q.Argument("overflow") != "reject-publish" {
		t.Errorf("the policy of the sample definitions is not in effect: limit %d, %+v", limit, q.Policy)
	}
	if n := strings.Count(out, "answers at"); n != len(nodes) {
		t.Errorf("%d of %d nodes were dialled", n, len(nodes))
	}
}
