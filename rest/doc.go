// Package rest is a client for JSON APIs, with timeouts, retries, size limits, a circuit
// breaker and token handling by default.
//
//	api, err := rest.New(rest.Config{
//		Host:     "https://api.example.com",
//		AuthURL:  "api/v1/login",
//		Username: "shop", Password: os.Getenv("API_PASSWORD"),
//	})
//	...
//	defer api.Close()
//	subject, err := rest.Get[Subject](ctx, api, "api/v1/subjects/1")
//	created, err := rest.Post[Subject](ctx, api, "api/v1/subjects", Subject{Name: "Art"})
//	anything, err := rest.Get[any](ctx, api, "api/v1/subjects", rest.Params(map[string]any{"page": 2}))
//	if errors.Is(err, rest.ErrNotFound) { … }
//
// # Keys
//
// Requests are sent with camelCase keys. An untyped answer is returned with
// snake_case keys, a struct field matches either. See CamelCase and SnakeCase;
// Config and options replace them.
//
// # Guarantees
//
//   - Every call ends by a deadline (Config.Timeout, or an earlier one of the context).
//   - A request that may have been processed is repeated only if its method is
//     idempotent or it carries an IdempotencyKey.
//   - A token is sent only to the origin (scheme, host, port) that it is meant for, also
//     when a server redirects.
//   - One login runs at a time, however many callers wait; a 401 causes at most one
//     login and one replay.
//   - At most Config.MaxBytes of an answer are read, counted after
//     decompression; the memory used is a small multiple of that.
//   - No error, hook or log contains a token, a credential, or the value of a query
//     parameter whose name looks secret.
//
// # Parts
//
// A Client is a stack of http.RoundTrippers: Retrier over Auth over Breaker over
// the transport. Each can be used alone on a plain http.Client, and
// Client.HTTPClient returns the whole stack as an http.Client.
// Config.Transport replaces the lowest one. Put tracing such as
// otelhttp.NewTransport there: it sees each attempt.
package rest
