package deploycheck

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"sigs.k8s.io/yaml"

	"github.com/parley-go/parley/service/settings"
)

// settingsExample matches the settings files of the documents. A block with the word fragment is not a whole file.
var settingsExample = regexp.MustCompile("(?ms)^```yaml(?: file=\\S+)?\n(.*?)^```")

func TestTheSchemaAcceptsEverySettingsFileOfTheDocs(t *testing.T) {
	schema := settingsSchema(t)
	documents, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	examples := 0
	for _, document := range documents {
		for _, example := range settingsExample.FindAllSubmatch(read(t, document), -1) {
			examples++
			if err := schema.Validate(decodeYAML(t, example[1])); err != nil {
				t.Errorf("%s: %v\n%s", document, err, example[1])
			}
		}
	}
	if examples == 0 {
		t.Error("found no settings files (is the path of the documents correct?)")
	}
}

func TestTheSchemaAgreesWithTheLoader(t *testing.T) {
	schema := settingsSchema(t)
	for text, valid := range map[string]bool{
		`exchanges: [[audit, fanout], [user]]`:                 true,
		`{queue: orders, binds: [[order, "paid.*"], [x, ""]]}`: true,
		`queues: {orders: {binds: [[order, "paid.*"]]}}`:       true,
		`{queue: orders, binds: [[order, "paid.*", more]]}`:    false,
		`{queue: orders, binds: [[]]}`:                         false,
		`{queue: orders, binds: [["", "paid.*"]]}`:             false,
		`{queue: orders, binds: [[order, 1]]}`:                 false,
		`consumer: {stuck_after: 0}`:                           true,
		`consumer: {stuck_after: 5s}`:                          true,
		`consumer: {stuck_after: 5}`:                           false,
		`consumer: {handler_timeout: 0}`:                       false,
		`consumer: {max_stuck: 0, kill_switch: {share: 0}}`:    true,
		`{queue: orders, consumer: {poison_limit: 0}}`:         true,
		`queues: {orders: {binds: auto, poison_limit: 0}}`:     true,
	} {
		file := filepath.Join(t.TempDir(), "parley.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := settings.Load(&settings.LoadOptions{File: file, Environ: []string{}}); (err == nil) != valid {
			t.Errorf("%s: the loader says %v, want valid %t", text, err, valid)
		}
		if err := schema.Validate(decodeYAML(t, []byte(text))); (err == nil) != valid {
			t.Errorf("%s: the schema says %v, want valid %t", text, err, valid)
		}
	}
}

// settingsSchema returns the JSON Schema that parley settings schema prints.
func settingsSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	text, err := settings.Schema()
	if err != nil {
		t.Fatal(err)
	}
	const name = "settings.json"
	c := jsonschema.NewCompiler()
	if err := c.AddResource(name, decodeYAML(t, text)); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile(name)
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// decodeYAML returns the value of a YAML or JSON text, as the validator wants it.
func decodeYAML(t *testing.T, text []byte) any {
	t.Helper()
	inJSON, err := yaml.YAMLToJSON(text)
	if err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(inJSON))
	if err != nil {
		t.Fatal(err)
	}
	return value
}
