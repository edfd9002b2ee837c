package testenv

import (
	"archive/tar"
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const (
	// AxeVariable names the file of an axe-core package from the npm registry, such as axe-core-4.14.1.tgz.
	AxeVariable = "PARLEY_TEST_AXE"

	axeVersion = "4.14.1"
	// axeSum is the integrity of the package as the registry shows it. axe-core is under the MPL 2.0, so it is downloaded, not copied
	// into this repository.
	axeSum     = "FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ=="
	axeScript  = "package/axe.min.js"
	axeLimit   = 32 << 20
	axeTimeout = time.Minute
)

// Axe returns the script of axe-core, which examines the accessibility of a page. It takes the package of PARLEY_TEST_AXE, else that of
// the user's cache, else it downloads it from the npm registry. Without it the test is skipped (see the package documentation).
func Axe(t testing.TB) string {
	t.Helper()
	if name := os.Getenv(AxeVariable); name != "" {
		script, err := readAxe(name)
		if err != nil {
			t.Fatal(fmt.Errorf("testenv: axe-core given by %s: %w", AxeVariable, err))
		}
		return script
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		Skip(t, AxeVariable, err.Error())
	}
	file := filepath.Join(dir, "parley-test", "axe-core-"+axeVersion+".tgz")
	if script, err := readAxe(file); err == nil {
		return script
	}
	registry := cmp.Or(os.Getenv("npm_config_registry"), "https://registry.npmjs.org")
	if err := downloadAxe(strings.TrimSuffix(registry, "/")+"/axe-core/-/axe-core-"+axeVersion+".tgz", file); err != nil {
		Skip(t, AxeVariable, "cannot download axe-core: "+err.Error())
	}
	script, err := readAxe(file)
	if err != nil {
		t.Fatal(err)
	}
	return script
}

// readAxe returns the script of a package, whose checksum it compares.
func readAxe(name string) (string, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return "", err
	}
	if err := checkAxe(text); err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	unzipped, err := gzip.NewReader(bytes.NewReader(text))
	if err != nil {
		return "", err
	}
	for files := tar.NewReader(unzipped); ; {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			return "", fmt.Errorf("%s has no %s", name, axeScript)
		}
		if err != nil {
			return "", err
		}
		if h.Name == axeScript {
			script, err := io.ReadAll(io.LimitReader(files, axeLimit))
			return string(script), err
		}
	}
}

func checkAxe(text []byte) error {
	if sum := sha512.Sum512(text); base64.StdEncoding.EncodeToString(sum[:]) != axeSum {
		return errors.New("not axe-core " + axeVersion + ": wrong checksum")
	}
	return nil
}

// downloadAxe writes a package to a file, if its checksum is right.
func downloadAxe(url, file string) error {
	ctx, cancel := context.WithTimeout(context.Background(), axeTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	answer, err := (&http.Client{Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true}}).Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, answer.Status)
	}
	text, err := io.ReadAll(io.LimitReader(answer.Body, axeLimit))
	if err == nil {
		err = checkAxe(text)
	}
	if err == nil {
		err = os.MkdirAll(filepath.Dir(file), 0o750)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", url, err)
	}
	part, err := os.CreateTemp(filepath.Dir(file), "axe-core-") // two tests may download at once
	if err != nil {
		return err
	}
	_, err = part.Write(text)
	if err = errors.Join(err, part.Close()); err == nil {
		err = os.Rename(part.Name(), file)
	}
	return err
}
