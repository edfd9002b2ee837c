package testenv

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestOnlyThePinnedPackageOfAxeIsAccepted(t *testing.T) {
	file := filepath.Join(t.TempDir(), "axe-core.tgz")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "missing.tgz") {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write([]byte("another package"))
	}))
	defer server.Close()
	for path, want := range map[string]string{"/axe-core.tgz": "wrong checksum", "/missing.tgz": "404"} {
		if err := downloadAxe(server.URL+path, file); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want an error with %q", path, err, want)
		}
		if _, err := os.Stat(file); err == nil {
			t.Errorf("%s: a file was written", path)
		}
	}
	if err := os.WriteFile(file, []byte("another package"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readAxe(file); err == nil || !strings.Contains(err.Error(), "wrong checksum") {
		t.Errorf("a file that is another package: %v", err)
	}
}

func TestThePinnedPackageOfAxeHasItsScript(t *testing.T) {
	if script := Axe(t); !strings.Contains(script, "axe v"+axeVersion) {
		t.Errorf("the script begins with %.200q", script)
	}
}
