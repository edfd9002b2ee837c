// Package rest is a client for JSON APIs: as short to use as Python helpers, with
// the manners that a service owes its neighbours.
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
// Requests go out with camelCase keys. An untyped answer comes back with
// snake_case keys, a struct field matches either. CamelCase and SnakeCase say more;
// Config and options replace them.
//
// # What is promised
//
//   - Every call ends by a deadline (Config.Timeout, or an earlier one of the context).
//   - A request that may have been processed is repeated only if its method is
//     idempotent or it carries an IdempotencyKey.
//   - A token goes only to the origin (scheme, host, port) that it is meant for, also
//     when a server redirects.
//   - One login runs at a time, however many callers wait; a 401 causes at most one
//     login and one replay.
//   - No more of an answer is read than Config.MaxBytes, counted after
//     decompression; the memory for it is a small multiple of that.
//   - No error, hook or log has a token, a credential, or the value of a query
//     parameter whose name looks secret.
//
// # Parts
//
// A Client is a stack of http.RoundTrippers: Retrier over Auth over Breaker over
// the transport. Each can be used alone on a plain http.Client, and
// Client.HTTPClient gives the whole stack to code that wants one.
// Config.Transport takes the place of the lowest, which is where tracing such as
// otelhttp.NewTransport goes: it sees each attempt.
package rest
