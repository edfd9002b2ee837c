package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// archive returns an archive with the files that a release has, and the binary given.
func archive(t *testing.T, zipped bool, binary []byte) []byte {
	t.Helper()
	files := map[string][]byte{"LICENSE": []byte("x"), "README.md": []byte("x"), "CHANGELOG.md": []byte("x"), "parley": binary}
	var out bytes.Buffer
	if zipped {
		w := zip.NewWriter(&out)
		for name, content := range files {
			f, err := w.Create(strings.Replace(name, "parley", "parley.exe", 1))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.Write(content); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
	compressed := gzip.NewWriter(&out)
	w := tar.NewWriter(compressed)
	for name, content := range files {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(content))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := compressed.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// program builds a small program that answers as a release does.
func program(t *testing.T, target string) []byte {
	t.Helper()
	dir := t.TempDir()
	const source = "package main\n\nimport \"os\"\n\nfunc main() { _, _ = os.Stdout.WriteString(\"parley 0.1.0 abc\\n\") }\n"
	for name, content := range map[string]string{"go.mod": "module example.com/p\n\ngo 1.26.0\n", "main.go": source} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	system, arch, _ := strings.Cut(target, "_")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", "p", ".")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0", "GOOS="+system, "GOARCH="+arch)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	binary, err := os.ReadFile(filepath.Join(dir, "p"))
	if err != nil {
		t.Fatal(err)
	}
	return binary
}

func writeDist(t *testing.T, files map[string][]byte) (dir string) {
	t.Helper()
	dir = t.TempDir()
	var sums strings.Builder
	for name, content := range files {
		sum := sha256.Sum256(content)
		sums.WriteString(hex.EncodeToString(sum[:]) + "  " + name + "\n")
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "checksums.txt"), []byte(sums.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

const bom = `{"bomFormat": "CycloneDX", "metadata": {"component": {"name": "github.com/parley-go/parley/cmd/parley", "version": "v0.1.0"}}, "components": [{"name": "github.com/parley-go/parley", "version": "v0.1.0"}, {"name": "github.com/parley-go/parley/service", "version": "v0.1.0"}]}`

func TestVerifyRefusesWhatIsMissingChangedOrOfAnotherVersion(t *testing.T) {
	defer func(all []string) { targets = all }(targets)
	targets = []string{runtime.GOOS + "_" + runtime.GOARCH}
	archiveName, bomName := "parley_0.1.0_"+targets[0]+".tar.gz", "parley_0.1.0_"+targets[0]+".cdx.json"
	binary := program(t, targets[0])
	good := map[string][]byte{archiveName: archive(t, false, binary), bomName: []byte(bom)}
	without := func(name string) map[string][]byte {
		files := maps.Clone(good)
		delete(files, name)
		return files
	}
	for name, c := range map[string]struct {
		files           map[string][]byte
		change          func(dir string) error // after the checksums were made
		version, commit string
		want            string // "" if the release is good
	}{
		"good": {good, nil, version, "abc", ""},
		"changed binary": {good, func(dir string) error {
			changed := archive(t, false, append(bytes.Clone(binary), 0))
			return os.WriteFile(filepath.Join(dir, archiveName), changed, 0o644)
		}, version, "abc", archiveName + " does not have the checksum"},
		"changed SBOM": {good, func(dir string) error {
			return os.WriteFile(filepath.Join(dir, bomName), []byte(bom+"\n"), 0o644)
		}, version, "abc", bomName + " does not have the checksum"},
		"deleted archive":        {good, func(dir string) error { return os.Remove(filepath.Join(dir, archiveName)) }, version, "abc", archiveName},
		"no SBOM":                {without(bomName), nil, version, "abc", "checksums.txt does not list " + bomName},
		"no archive":             {without(archiveName), nil, version, "abc", "checksums.txt does not list " + archiveName},
		"version of the binary":  {good, nil, version, "abd", `want "parley 0.1.0 abd" first`},
		"version of the release": {good, nil, "v0.2.0", "abc", "does not list parley_0.2.0_"},
	} {
		dir := writeDist(t, c.files)
		if c.change != nil {
			if err := c.change(dir); err != nil {
				t.Fatal(err)
			}
		}
		var out bytes.Buffer
		err := verify(t.Context(), dir, c.version, c.commit, &out)
		if c.want == "" && (err != nil || !strings.Contains(out.String(), "it runs here, version: good")) {
			t.Errorf("%s: %v\n%s", name, err, &out)
		}
		if c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	targets = append(targets, "windows_386")
	if err := verify(t.Context(), writeDist(t, good), version, "abc", &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "does not list parley_0.1.0_windows_386.zip") {
		t.Errorf("a missing target: %v", err)
	}
}

func TestVerifyReadsTheBinaryOfAnArchive(t *testing.T) {
	for name, c := range map[string]struct{ target, builtFor, want string }{
		"right system": {"windows_arm64", "windows_arm64", ""},
		"wrong system": {"windows_amd64", "windows_arm64", `GOARCH="arm64"`},
		"other system": {"darwin_arm64", "windows_arm64", `GOOS="windows"`},
	} {
		zipped := strings.HasPrefix(c.target, "windows")
		dir := writeDist(t, map[string][]byte{"a" + map[bool]string{true: ".zip", false: ".tar.gz"}[zipped]: archive(t, zipped, program(t, c.builtFor))})
		_, err := verifyTarget(t.Context(), dir, "a"+map[bool]string{true: ".zip", false: ".tar.gz"}[zipped], c.target, "0.1.0", "abc")
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestVerifyReadsTheSBOM(t *testing.T) {
	for content, good := range map[string]bool{
		bom: true, strings.ReplaceAll(bom, "v0.1.0", "(devel)"): false, strings.Replace(bom, "CycloneDX", "SPDX", 1): false, "{": false, `{"bomFormat": "CycloneDX"}`: false,
		strings.Replace(bom, "v0.1.0", "v0.0.9", 1): false, strings.Replace(bom, `parley/service", "version": "v0.1.0`, `parley/service", "version": "v0.0.9`, 1): false,
	} {
		file := filepath.Join(t.TempDir(), "bom.json")
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := verifySBOM(file, version); (err == nil) != good {
			t.Errorf("%s: %v", content, err)
		}
	}
}

func TestAChecksumFileNamesOnlyFilesBesideIt(t *testing.T) {
	sum := strings.Repeat("0", 64)
	for line, good := range map[string]bool{sum + "  a": true, sum + "  ../a": false, sum + " a": false, "00  a": false} {
		file := filepath.Join(t.TempDir(), "checksums.txt")
		if err := os.WriteFile(file, []byte(line+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := readSums(file); (err == nil) != good {
			t.Errorf("%q: %v", line, err)
		}
	}
}
