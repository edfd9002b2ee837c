package parley

import (
	"errors"
	"maps"
	"strings"
	"testing"
	"time"
)

func failedMessage() Message {
	return Message{
		Exchange: "shop", RoutingKey: "paid", ID: "id", Kind: KindEvent, AppID: "", CorrelationID: "c", ReplyTo: "r",
		ContentEncoding: "utf-8", Priority: 5, Expiration: time.Hour, UserID: "guest", Body: []byte(`{"a": 1}`),
		Headers: map[string]any{
			HeaderKey: "alice", "tenant": "alice", "n": int64(1), "CC": []any{"q2"}, "BCC": []any{"q3"}, "x-death": []any{"old"},
			"nested": map[string]any{"list": []any{nil, true, 1.5, []byte{0xff}, time.Unix(1, 0)}},
		},
	}
}

func failedHistory() History {
	h := History{Retries: 1}
	h.note(errors.New("no"), time.Unix(1700000000, 0))
	return h
}

// returned is a copy as a consumer of queue "q" receives it.
func returned(m Message) *Delivery {
	m.Headers = maps.Clone(m.Headers)
	m.RoutingKey, m.ContentType = "q", ContentType
	m.Headers["x-death"] = []any{map[string]any{"queue": "q.retry.1s"}}
	m.Headers["x-first-death-queue"], m.Headers["x-delivery-count"] = "q.retry.1s", int64(1)
	return NewDelivery(m, "q", false, nil)
}

func TestARestoredCopyEqualsTheFailedMessage(t *testing.T) {
	want := failedMessage()
	c := retryCopy(want, "q", "q.retry.1s", failedHistory(), testSecrets[0])
	if c.Expiration != 0 || c.UserID != "" || c.Headers["CC"] != nil || c.Headers["BCC"] != nil {
		t.Errorf("the copy in a retry queue has expiration %v, user id %q, headers %v", c.Expiration, c.UserID, c.Headers)
	}
	c.AppID = "filled in by a driver"
	d := returned(c)
	if err := restore(d, testSecrets); err != nil {
		t.Fatal(err)
	}
	if d.Exchange != want.Exchange || d.RoutingKey != want.RoutingKey || d.AppID != "" || d.Priority != 5 || d.Expiration != time.Hour || d.UserID != "guest" || d.Attempt != 2 {
		t.Errorf("restored as %+v", d.Message)
	}
	if cc, _ := d.Headers[headerCC].([]any); len(cc) != 1 || cc[0] != "q2" {
		t.Errorf("the CC header is lost: %v", d.Headers)
	}
	second := returned(retryCopy(d.Message, "q", "q.retry.2s", d.history, testSecrets[0]))
	if err := restore(second, testSecrets); err != nil || second.Expiration != time.Hour || second.AppID != "" {
		t.Errorf("the second retry returns with %+v (%v)", second.Message, err)
	}
}

func TestACopyThatIsNotVerifiedKeepsItsSignatureInTheParkedQueue(t *testing.T) {
	d := returned(retryCopy(failedMessage(), "q", "q.retry.1s", failedHistory(), testSecrets[1]))
	err := restore(d, testSecrets[:1])
	if !errors.Is(err, errForged) {
		t.Fatalf("verified with another secret: %v", err)
	}
	parked := unverifiedCopy(d.Message, "q", err)
	if parked.RoutingKey != "q.parked" || parked.Expiration != 0 {
		t.Errorf("parked as %+v", parked)
	}
	for _, secrets := range [][][]byte{testSecrets, testSecrets[:1]} {
		var seen *ParkedMessage
		_, _, err := visitOne("q", secrets, NewDelivery(parked, "q.parked", false, nil), func(m *ParkedMessage) (ParkedAction, error) {
			seen = m
			return ParkedKeep, nil
		})
		if err != nil || seen.Signed != (len(secrets) == 2) || seen.ParkedID == "" || seen.Exchange != "shop" || seen.Expiration != time.Hour ||
			!strings.Contains(seen.History.Reason, "not verified") || seen.History.Attempts != 1 {
			t.Errorf("with %d secrets: %+v (%v)", len(secrets), seen, err)
		}
	}
}

func TestACopyWithOurOwnHeadersOnlyIsVerified(t *testing.T) {
	m := failedMessage()
	m.Headers["big"] = strings.Repeat("x", 5000)
	parked := reducedCopy(retryCopy(m, "q", "q.parked", failedHistory(), testSecrets[0]), errors.New("too large"), "q", testSecrets[0])
	parked.AppID = "filled in by a driver"
	_, _, err := visitOne("q", testSecrets, NewDelivery(parked, "q.parked", false, nil), func(m *ParkedMessage) (ParkedAction, error) {
		if !m.Signed || m.AppID != "" || m.Headers["tenant"] != nil || m.Key() != "alice" || !strings.Contains(m.History.Reason, "too large") {
			t.Errorf("parked as %+v", m)
		}
		return ParkedKeep, nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestACopyOfAnotherWriterKeepsItsAddressAndHeaders(t *testing.T) {
	m := failedMessage()
	kept := asItCame(m)
	if kept.Exchange != "" || kept.Header(headerExchange) != "shop" || kept.Header(headerRoutingKey) != "paid" {
		t.Errorf("its address is lost: %+v", kept)
	}
	restoreProperties(&kept)
	if kept.Headers["CC"] != nil || kept.Header("tenant") != "alice" || kept.Expiration != time.Hour || kept.UserID != "guest" {
		t.Errorf("kept as %+v", kept)
	}
	if m.Headers["CC"] == nil {
		t.Error("the headers of the original were changed")
	}
}
