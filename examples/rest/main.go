// Command rest shows package rest against a small API server that it starts in the same process. It
// shows login, typed and untyped calls, errors, pages, an upload and a download. The server revokes
// a token once, and is busy once.
//
//	go run ./examples/rest
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/parley-go/parley/rest"
)

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		log.Fatal(err)
	}
}

// A Subject is a resource of the API. Its keys are fullName and pageCount on the wire.
type Subject struct {
	ID        int64
	FullName  string
	PageCount int
}

// run starts the server, calls it and stops it.
func run(ctx context.Context, out io.Writer) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	api := newAPI()
	server := &http.Server{Handler: api.handler(), ReadHeaderTimeout: 5 * time.Second}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(listener) // until it is closed below
	}()
	defer func() {
		_ = server.Close()
		<-served
	}()

	client, err := rest.New(rest.Config{
		Host:     "http://" + listener.Addr().String(),
		AuthURL:  "api/v1/login",
		Username: "shop",
		Password: "s3cret",
		Language: "en",
		Hooks: rest.Hooks{Attempt: func(_ context.Context, a rest.Attempt) {
			if a.Number > 1 {
				fmt.Fprintf(out, "  (attempt %d: %d)\n", a.Number, a.Status)
			}
		}},
	})
	if err != nil {
		return err
	}
	defer client.Close()
	for _, step := range []func(context.Context, io.Writer, *rest.Client) error{subjects, pages, files} {
		if err := step(ctx, out, client); err != nil {
			return err
		}
	}
	return trouble(ctx, out, client, api)
}

func subjects(ctx context.Context, out io.Writer, client *rest.Client) error {
	created, err := rest.Post[Subject](ctx, client, "api/v1/subjects", Subject{FullName: "Art", PageCount: 20},
		rest.IdempotencyKey("create-art")) // the request may be retried: the server creates one subject
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "created: %+v\n", created)
	if _, err := rest.Post[rest.None](ctx, client, "api/v1/subjects", map[string]any{"full_name": "Music", "page_count": 7}); err != nil {
		return err
	}
	untyped, err := rest.Get[map[string]any](ctx, client, rest.Path("api/v1/subjects", created.ID))
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "untyped:", untyped["full_name"], untyped["page_count"])

	_, err = rest.Get[Subject](ctx, client, rest.Path("api/v1/subjects", 99))
	if !errors.Is(err, rest.ErrNotFound) {
		return fmt.Errorf("subject 99: %w", err)
	}
	if e, ok := errors.AsType[*rest.ResponseError](err); ok && e.Problem != nil {
		fmt.Fprintf(out, "not found: %s\n", e.Problem.Detail)
	}
	return nil
}

func pages(ctx context.Context, out io.Writer, client *rest.Client) error {
	query := rest.Params(map[string]any{"page": 1})
	for s, err := range rest.Items[Subject](ctx, client, "api/v1/subjects", rest.DjangoPages(), query) {
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "listed: %d %s\n", s.ID, s.FullName)
	}
	return nil
}

func files(ctx context.Context, out io.Writer, client *rest.Client) error {
	upload := rest.Multipart(map[string]any{"doc_kind": "syllabus"}, rest.File{Field: "file", Name: "art.txt", Data: []byte("lines and colours")})
	if _, err := rest.Put[rest.None](ctx, client, "api/v1/subjects/1/file", upload); err != nil {
		return err
	}
	file, err := rest.Download(ctx, client, "api/v1/subjects/1/file", rest.Timeout(5*time.Minute))
	if err != nil {
		return err
	}
	defer file.Close()
	var text strings.Builder
	if _, err := io.Copy(&text, file); err != nil {
		return err
	}
	fmt.Fprintf(out, "downloaded: %s, %q\n", file.Name(), text.String())
	return nil
}

// trouble shows failures that the client hides from its caller.
func trouble(ctx context.Context, out io.Writer, client *rest.Client, api *api) error {
	api.revoke()
	if _, err := rest.Get[Subject](ctx, client, "api/v1/subjects/1"); err != nil {
		return err
	}
	fmt.Fprintf(out, "after the token was revoked: %d logins\n", api.logins())
	api.beBusy()
	if _, err := rest.Get[Subject](ctx, client, "api/v1/subjects/2"); err != nil {
		return err
	}
	fmt.Fprintln(out, "the request to the busy server was retried")
	if _, err := rest.Delete[rest.None](ctx, client, "api/v1/subjects/2"); err != nil {
		return err
	}
	fmt.Fprintln(out, "deleted")
	return nil
}
