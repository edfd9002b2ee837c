// Package management reads the HTTP API of RabbitMQ's management plugin. It shows what AMQP does not: nodes, leaders and members of
// quorum queues, policies and limits. It changes nothing.
package management

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// timeout limits one request.
const timeout = 5 * time.Second

// bodyLimit is the largest answer that is read, in bytes.
const bodyLimit = 32 << 20

// pageSize is the most queues that Queues reads.
const pageSize = 500

// A Client reads the API of one broker. Its errors contain no password.
type Client struct {
	base           string
	user, password string
	http           *http.Client
}

// New returns a client for the API at base, such as http://host:15672. The URL may contain user and password, which replace those given.
// tls may be nil.
func New(base, user, password string, tls *tls.Config) (*Client, error) {
	u, err := url.Parse(base)
	if err != nil {
		return nil, errors.New("not a URL")
	}
	if u.User != nil {
		user = u.User.Username()
		password, _ = u.User.Password()
		u.User = nil
	}
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.TLSClientConfig = tls
	return &Client{strings.TrimSuffix(u.String(), "/"), user, password, &http.Client{Transport: t, Timeout: timeout}}, nil
}

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// A Node is a node of the cluster.
type Node struct {
	Name       string   `json:"name"`
	Running    bool     `json:"running"`
	MemAlarm   bool     `json:"mem_alarm"`
	DiskAlarm  bool     `json:"disk_free_alarm"`
	Draining   bool     `json:"being_drained"`
	Partitions []string `json:"partitions"`
}

// A Group has names and values. Old versions of RabbitMQ write an empty one as a list or a text.
type Group map[string]any

// UnmarshalJSON implements json.Unmarshaler.
func (g *Group) UnmarshalJSON(text []byte) error {
	if len(text) > 0 && text[0] != '{' {
		return nil
	}
	return json.Unmarshal(text, (*map[string]any)(g))
}

// Nodes lists the nodes of the cluster.
func (c *Client) Nodes(ctx context.Context) ([]Node, error) {
	var nodes []Node
	err := c.get(ctx, "/api/nodes?columns=name,running,mem_alarm,disk_free_alarm,being_drained,partitions", &nodes)
	return nodes, err
}

// Version returns the version of RabbitMQ, such as 4.3.6.
func (c *Client) Version(ctx context.Context) (string, error) {
	var overview struct {
		Version string `json:"rabbitmq_version"`
	}
	err := c.get(ctx, "/api/overview?columns=rabbitmq_version", &overview)
	return overview.Version, err
}

// A Queue is a queue as the broker runs it.
type Queue struct {
	Name      string `json:"name"`
	Type      string `json:"type"`
	State     string `json:"state"`
	Arguments Group  `json:"arguments"`
	// Policy is the policy in effect.
	Policy Group `json:"effective_policy_definition"`
	// Leader, Members and Online are of quorum queues. Node is the node of a classic queue.
	Leader  string   `json:"leader"`
	Node    string   `json:"node"`
	Members []string `json:"members"`
	Online  []string `json:"online"`
	// DeliveryLimit is a number, or a text such as "unlimited". It is nil before RabbitMQ 4.0.
	DeliveryLimit any `json:"delivery_limit"`
}

// Queues lists queues of a virtual host, 500 at most.
func (c *Client) Queues(ctx context.Context, vhost string) ([]Queue, error) {
	var page struct {
		Items []Queue `json:"items"`
	}
	err := c.get(ctx, fmt.Sprintf("/api/queues/%s?disable_stats=true&page=1&page_size=%d", url.PathEscape(vhost), pageSize), &page)
	return page.Items, err
}

// Queue returns one queue, or nil if it does not exist.
func (c *Client) Queue(ctx context.Context, vhost, name string) (*Queue, error) {
	var q Queue
	err := c.get(ctx, "/api/queues/"+url.PathEscape(vhost)+"/"+url.PathEscape(name)+"?disable_stats=true", &q)
	if errors.Is(err, errNotFound) {
		return nil, nil
	}
	return &q, err
}

var errNotFound = errors.New("not found")

func (c *Client) get(ctx context.Context, path string, out any) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+path, nil)
	if err != nil {
		return err
	}
	r.SetBasicAuth(c.user, c.password)
	answer, err := c.http.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, bodyLimit+1))
	switch {
	case err != nil:
		return err
	case answer.StatusCode == http.StatusNotFound:
		return errNotFound
	case answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden:
		return fmt.Errorf("status %d (user and password must be right, and the user needs the tag monitoring)", answer.StatusCode)
	case answer.StatusCode != http.StatusOK:
		return fmt.Errorf("status %d", answer.StatusCode)
	case len(body) > bodyLimit:
		return fmt.Errorf("the answer has more than %d bytes", bodyLimit)
	}
	if err := json.Unmarshal(body, out); err != nil {
		return fmt.Errorf("not the management API: %w", err)
	}
	return nil
}

// Argument returns an argument of the queue, or else the value of the policy for it. Their names differ: x-overflow and overflow.
func (q *Queue) Argument(name string) any {
	if v, ok := q.Arguments["x-"+name]; ok {
		return v
	}
	return q.Policy[name]
}

// Limit returns how often a message may be redelivered before the broker drops it. limited is false if there is no limit, or if the
// broker does not show it.
func (q *Queue) Limit() (limit int, limited bool) {
	for _, v := range [...]any{q.DeliveryLimit, q.Argument("delivery-limit")} {
		if n, ok := v.(float64); ok {
			return int(n), n >= 0
		}
	}
	return 0, false
}
