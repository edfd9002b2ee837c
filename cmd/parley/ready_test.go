package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// awaitReady polls /readyz, at the address in the log, until it answers 200.
func awaitReady(ctx context.Context, log *lines) error {
	for {
		err := ready(ctx, log.String())
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func ready(ctx context.Context, log string) error {
	_, after, _ := strings.Cut(log, "address=")
	address, _, ok := strings.Cut(after, "\n")
	if !ok {
		return errors.New("the log contains no address")
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/readyz", nil)
	if err != nil {
		return err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	return nil
}
