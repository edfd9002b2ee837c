package main

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/parley-go/parley"
)

const (
	apiPassword = "only for this example"
	apiToken    = "token-of-this-example"
)

// cents are the prices.
var cents = map[string]int{"text": 5}

// pricing answers quotes, both as calls and over HTTP.
type pricing[Tx SQL] struct {
	*service[Tx]
	url      string
	listener net.Listener
}

func newPricing[Tx SQL](c *contracts, broker parley.Broker, open func(string) (*database[Tx], error)) (*pricing[Tx], error) {
	s, err := newService(c.prefix+"pricing", broker, open)
	if err != nil {
		return nil, err
	}
	s.exchanges = []string{c.Quote.Exchange()}
	s.schema = "CREATE TABLE quotes (item text NOT NULL, pieces bigint NOT NULL, cents bigint NOT NULL)"
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &pricing[Tx]{service: s, url: "http://" + l.Addr().String(), listener: l}
	parley.OnCall(s.router, s.inbox, s.outbox, c.Quote, p.quote)
	return p, nil
}

// quote stores the quote and replies in one transaction.
func (p *pricing[Tx]) quote(ctx context.Context, tx Tx, c parley.Call[QuoteRequest]) (QuoteReply, error) {
	price, ok := cents[c.Data.Item]
	if !ok {
		return QuoteReply{}, parley.Fail("unknown_item", "there is no "+c.Data.Item)
	}
	total := price * c.Data.Pieces
	_, err := tx.ExecContext(ctx, "INSERT INTO quotes VALUES ($1, $2, $3)", c.Data.Item, c.Data.Pieces, total)
	return QuoteReply{Cents: total}, err
}

// Run serves the API until ctx ends.
func (p *pricing[Tx]) Run(ctx context.Context) error {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/v1/login", login)
	mux.HandleFunc("GET /api/v1/prices/{item}", showPrice)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	done := make(chan error, 1)
	go func() { done <- server.Serve(p.listener) }() // joined below
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	err := server.Shutdown(stop)
	if served := <-done; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

func login(w http.ResponseWriter, r *http.Request) {
	var who struct{ Username, Password string }
	if err := json.NewDecoder(r.Body).Decode(&who); err != nil || who.Username != "users" || who.Password != apiPassword {
		http.Error(w, "wrong username or password", http.StatusForbidden)
		return
	}
	answer(w, map[string]string{"accessToken": apiToken})
}

func showPrice(w http.ResponseWriter, r *http.Request) {
	price, ok := cents[r.PathValue("item")]
	switch {
	case r.Header.Get("Authorization") != "Bearer "+apiToken:
		http.Error(w, "log in first", http.StatusUnauthorized)
	case !ok:
		http.NotFound(w, r)
	default:
		answer(w, QuoteReply{Cents: price})
	}
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the client may have disconnected
}
