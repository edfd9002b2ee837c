package testenv

import (
	"fmt"
	"os"
	"os/exec"
	"testing"
)

const (
	// ChromiumVariable names the program of a Chromium browser.
	ChromiumVariable = "PARLEY_TEST_CHROMIUM"
	// InstallVariable, set to 1, lets testservers install a browser, as it does in CI.
	InstallVariable = "PARLEY_TEST_INSTALL"
	// ScreenshotsVariable, set to 1, lets the browser tests write the screenshots of the documents.
	ScreenshotsVariable = "PARLEY_SCREENSHOTS"
)

// chromiumNames are the programs that FindChromium tries; the first two are those of Debian.
var chromiumNames = []string{"chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"}

// FindChromium returns the path of a Chromium browser: the one that PARLEY_TEST_CHROMIUM names, else one in PATH.
func FindChromium() (string, error) {
	if name := os.Getenv(ChromiumVariable); name != "" {
		path, err := exec.LookPath(name)
		if err != nil {
			return "", fmt.Errorf("testenv: Chromium given by %s: %w", ChromiumVariable, err)
		}
		return path, nil
	}
	for _, name := range chromiumNames {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", nil
}

// Chromium returns the path of a Chromium browser. Without one the test is skipped (see the package documentation).
func Chromium(t testing.TB) string {
	t.Helper()
	path, err := FindChromium()
	if err != nil {
		t.Fatal(err)
	}
	if path == "" {
		Skip(t, ChromiumVariable, "no Chromium in PATH (apt-get install chromium-headless-shell)")
	}
	return path
}
