package main

import (
	"archive/tar"
	"archive/zip"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// targets are the systems that a release has binaries for.
var targets = []string{"linux_amd64", "linux_arm64", "darwin_amd64", "darwin_arm64", "windows_amd64", "windows_arm64"}

// verify checks the files of a release in dist: checksums, an archive and an SBOM for each target, how the binaries were built, and the answer of
// the command version of those that run here. It returns all problems.
func verify(ctx context.Context, dist, version, commit string, out io.Writer) error {
	sums, err := readSums(filepath.Join(dist, "checksums.txt"))
	if err != nil {
		return err
	}
	var errs []error
	for name, want := range sums {
		content, err := os.ReadFile(filepath.Join(dist, name))
		if got := sha256.Sum256(content); err != nil || hex.EncodeToString(got[:]) != want {
			errs = append(errs, errors.Join(err, fmt.Errorf("%s does not have the checksum in checksums.txt", name)))
		}
	}
	number := strings.TrimPrefix(version, "v")
	for _, target := range targets {
		base := "parley_" + number + "_" + target
		archive := base + ".tar.gz"
		if strings.HasPrefix(target, "windows") {
			archive = base + ".zip"
		}
		for _, name := range []string{archive, base + ".cdx.json"} {
			if sums[name] == "" {
				errs = append(errs, fmt.Errorf("checksums.txt does not list %s", name))
			}
		}
		ran, err := verifyTarget(ctx, dist, archive, target, number, commit)
		errs = append(errs, err, verifySBOM(filepath.Join(dist, base+".cdx.json"), version))
		if err == nil {
			_, err = fmt.Fprintf(out, "%-14s checksum, archive, build, SBOM: good%s\n", target, map[bool]string{true: "; it runs here, version: good"}[ran])
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// readSums reads lines of the form of sha256sum.
func readSums(name string) (map[string]string, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	sums := map[string]string{}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		sum, file, ok := strings.Cut(lines.Text(), "  ")
		if !ok || len(sum) != 64 || file != filepath.Base(file) {
			return nil, fmt.Errorf("%s: %q is no checksum of a file beside it", name, lines.Text())
		}
		sums[file] = sum
	}
	return sums, nil
}

// verifyTarget checks the binary in an archive. It reports whether the binary runs on this machine.
func verifyTarget(ctx context.Context, dist, archive, target, number, commit string) (ran bool, err error) {
	files, err := unpack(filepath.Join(dist, archive))
	if err != nil {
		return false, fmt.Errorf("%s: %w", archive, err)
	}
	system, arch, _ := strings.Cut(target, "_")
	binary := files["parley"]
	if system == "windows" {
		binary = files["parley.exe"]
	}
	if len(files["LICENSE"]) == 0 || len(files["README.md"]) == 0 || len(files["CHANGELOG.md"]) == 0 {
		return false, fmt.Errorf("%s lacks LICENSE, README.md or CHANGELOG.md", archive)
	}
	info, err := buildinfo.Read(bytes.NewReader(binary))
	if err != nil {
		return false, fmt.Errorf("%s: the binary: %w", archive, err)
	}
	got := map[string]string{}
	for _, s := range info.Settings {
		got[s.Key] = s.Value
	}
	for key, want := range map[string]string{"GOOS": system, "GOARCH": arch, "CGO_ENABLED": "0", "-trimpath": "true"} {
		if got[key] != want {
			return false, fmt.Errorf("%s: the binary was built with %s=%q, want %q", archive, key, got[key], want)
		}
	}
	if target != runtime.GOOS+"_"+runtime.GOARCH {
		return false, nil
	}
	return true, verifyVersion(ctx, binary, number, commit)
}

// verifyVersion runs the binary.
func verifyVersion(ctx context.Context, binary []byte, number, commit string) error {
	dir, err := os.MkdirTemp("", "parley-verify-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	name := filepath.Join(dir, "parley")
	if err := os.WriteFile(name, binary, 0o755); err != nil {
		return err
	}
	out, err := exec.CommandContext(ctx, name, "version").CombinedOutput()
	if want := "parley " + number + " " + commit; err != nil || !strings.HasPrefix(string(out), want) {
		return errors.Join(err, fmt.Errorf("parley version prints %q, want %q first", out, want))
	}
	return nil
}

// verifySBOM checks that an SBOM is that of the command at the version, and lists the modules of the binary, those of this repository at the version.
func verifySBOM(name, version string) error {
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	type component struct{ Name, Version string }
	var bom struct {
		BOMFormat  string `json:"bomFormat"`
		Metadata   struct{ Component component }
		Components []component
	}
	if err := json.Unmarshal(text, &bom); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if main := (component{"github.com/parley-go/parley/cmd/parley", version}); bom.Metadata.Component != main {
		return fmt.Errorf("%s is the list of %+v, want %+v", name, bom.Metadata.Component, main)
	}
	for _, c := range []component{{"github.com/parley-go/parley", version}, {"github.com/parley-go/parley/service", version}} {
		if bom.BOMFormat != "CycloneDX" || !slices.Contains(bom.Components, c) {
			return fmt.Errorf("%s is no CycloneDX document with %s %s (%d components)", name, c.Name, c.Version, len(bom.Components))
		}
	}
	return nil
}

// maxFile bounds one file of an archive.
const maxFile = 256 << 20

// unpack returns the files of a tar.gz or zip archive.
func unpack(name string) (map[string][]byte, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	if strings.HasSuffix(name, ".zip") {
		r, err := zip.NewReader(bytes.NewReader(text), int64(len(text)))
		if err != nil {
			return nil, err
		}
		for _, f := range r.File {
			in, err := f.Open()
			if err != nil {
				return nil, err
			}
			if files[f.Name], err = io.ReadAll(io.LimitReader(in, maxFile)); err != nil {
				return nil, err
			}
		}
		return files, nil
	}
	unzipped, err := gzip.NewReader(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	for r := tar.NewReader(unzipped); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, err
		}
		if files[h.Name], err = io.ReadAll(io.LimitReader(r, maxFile)); err != nil {
			return nil, err
		}
	}
}
