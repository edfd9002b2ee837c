package postgres

import (
	"errors"
	"testing"
	"time"

	"github.com/parley-go/parley"
)

// A fakeRow scans like the drivers: texts are valid until the next row only.
type fakeRow struct {
	id      int64
	created time.Time
	texts   [6]any // exchange, routing key, kind, body, tags, properties
	due     *time.Time
	err     error
}

func (r fakeRow) Scan(dest ...any) error {
	if r.err != nil {
		return r.err
	}
	*dest[0].(*int64), *dest[1].(*time.Time), *dest[6].(**time.Time) = r.id, r.created, r.due
	for i, at := range []int{2, 3, 4, 5, 7, 8} {
		if err := dest[at].(*rawText).Scan(r.texts[i]); err != nil {
			return err
		}
	}
	return nil
}

func TestARecordKeepsItsContentWhenTheDriverReusesItsMemory(t *testing.T) {
	created := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	body := []byte(`{"eventId": 7, "a": 1}`)
	row := fakeRow{id: 7, created: created, texts: [6]any{"user", "renamed", "event", body, `{"k": "v"}`, []byte(`{}`)}}
	var v rowValues
	var r parley.Record
	if err := v.read(row, &r); err != nil {
		t.Fatal(err)
	}
	clear(body)
	if string(r.Body) != `{"eventId": 7, "a": 1}` || r.Exchange != "user" || r.RoutingKey != "renamed" || r.Kind != parley.KindEvent || r.Tags["k"] != "v" {
		t.Errorf("read %+v with the body %s", r, r.Body)
	}
	if !r.Timestamp.Equal(created) || !r.DueAt.IsZero() {
		t.Errorf("timestamp %v and due time %v, want the time of creation and none", r.Timestamp, r.DueAt)
	}
}

func TestARowThatCannotBeReadIsAnErrorThatNamesIt(t *testing.T) {
	lost := errors.New("connection lost")
	good := [6]any{"user", "renamed", "event", []byte(`{}`), nil, []byte(`{}`)}
	badTags, badProperties, badType := good, good, good
	badTags[4], badProperties[5], badType[0] = "no JSON", []byte("no JSON"), 7
	for name, c := range map[string]struct {
		row  fakeRow
		want string
	}{
		"tags":       {fakeRow{id: 7, texts: badTags}, "read tags of record 7: invalid character 'o' in literal null (expecting 'u')"},
		"properties": {fakeRow{id: 7, texts: badProperties}, ""},
		"type":       {fakeRow{id: 7, texts: badType}, "a text column has the Go type int"},
		"connection": {fakeRow{err: lost}, lost.Error()},
	} {
		var v rowValues
		var r parley.Record
		err := v.read(c.row, &r)
		if err == nil || c.want != "" && err.Error() != c.want {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestRowsAreReadWhileThereIsRoom(t *testing.T) {
	var out []parley.Record
	total := 0
	room := func(body int) bool { total += body; return total <= 2*len(`{"eventId": 1, "a": 1}`) }
	s := readStatement(&out, room, "SELECT")
	for id := range int64(4) {
		row := fakeRow{id: id + 1, texts: [6]any{"user", "renamed", "event", []byte(`{"a": 1}`), nil, []byte(`{}`)}}
		if err := s.scan(row); err != nil {
			t.Fatal(err)
		}
	}
	if len(out) != 2 || out[0].ID != 1 || out[1].ID != 2 {
		t.Errorf("%d records were read: %+v, want the first 2", len(out), out)
	}
}
