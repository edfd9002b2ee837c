package parley

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/parley-go/parley/internal/topic"
)

// AnyExchange is the exchange of routes that accept messages from all exchanges.
const AnyExchange = "*"

// A Router finds the handler of a delivery by its exchange and routing key. The most specific route
// wins. An exact exchange comes before [AnyExchange], then an exact routing key, then the pattern with
// more literal words, then the one with fewer #. Register all routes before the consumer runs. A
// duplicate registration panics and names both places.
type Router struct {
	mu         sync.RWMutex // guards the fields below
	middleware []Middleware
	routes     map[string]*exchangeRoutes // by exchange, AnyExchange included
	fallback   *Route
	registered int
	cache      map[routeAddress]*Route
}

// A Route is one registration: its address, its handler and its options.
type Route struct {
	// Exchange is the exchange, or AnyExchange.
	Exchange string
	// Pattern is the routing key or pattern; "#" stands for the whole exchange.
	Pattern string
	// Exact reports whether Pattern is a plain routing key.
	Exact bool
	// Place is the file and line of the registration.
	Place string

	handler Handler
	options routeOptions
	words   []string
	rank    int // how specific the pattern is
	number  int // of the registration
}

type routeAddress struct{ exchange, key string }

type exchangeRoutes struct {
	exact    map[string]*Route
	patterns map[string]*Route
	tree     patternNode // of the words of the patterns
}

// NewRouter returns a router without routes.
func NewRouter() *Router {
	return &Router{routes: map[string]*exchangeRoutes{}, cache: map[routeAddress]*Route{}}
}

// Use adds middleware around the handlers that are registered after it; the first one is the outermost.
func (r *Router) Use(m ...Middleware) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.middleware = append(r.middleware, m...)
}

// Handle registers h for the deliveries from exchange whose routing key matches the
// pattern: * stands for one word, # for any number of words, as in AMQP bindings.
// An empty pattern means the whole exchange, like "#". h receives the body as it was published.
func (r *Router) Handle(exchange, pattern string, h Handler, options ...RouteOption) {
	r.route(patternSpec(exchange, pattern), h, options)
}

// HandleFunc is Handle for a function.
func (r *Router) HandleFunc(exchange, pattern string, h func(ctx context.Context, d *Delivery) error, options ...RouteOption) {
	r.route(patternSpec(exchange, pattern), HandlerFunc(h), options)
}

// Default registers h for deliveries that match no other route.
func (r *Router) Default(h Handler, options ...RouteOption) {
	r.mu.Lock()
	defer r.mu.Unlock()
	route := r.newRoute(routeSpec{exchange: AnyExchange, key: "#"}, h, options)
	if r.fallback != nil {
		panic(fmt.Sprintf("parley: duplicate default handler: registered at %s and at %s", r.fallback.Place, route.Place))
	}
	r.fallback = route
}

// Routes lists all routes, by exchange and pattern, the default one last.
func (r *Router) Routes() []Route {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var out []Route
	for _, ex := range r.routes {
		for _, route := range ex.exact {
			out = append(out, *route)
		}
		for _, route := range ex.patterns {
			out = append(out, *route)
		}
	}
	slices.SortFunc(out, func(a, b Route) int {
		return strings.Compare(a.Exchange+"\x00"+a.Pattern, b.Exchange+"\x00"+b.Pattern)
	})
	if r.fallback != nil {
		out = append(out, *r.fallback)
	}
	return out
}

// A routeSpec is the address of a route.
type routeSpec struct {
	exchange string
	key      string
	exact    bool
}

func patternSpec(exchange, pattern string) routeSpec {
	if pattern == "" {
		pattern = "#"
	}
	return routeSpec{exchange: exchange, key: pattern, exact: !strings.ContainsAny(pattern, "*#")}
}

func (r *Router) route(s routeSpec, h Handler, options []RouteOption) {
	r.mu.Lock()
	defer r.mu.Unlock()
	route := r.newRoute(s, h, options)
	ex := r.routes[s.exchange]
	if ex == nil {
		ex = &exchangeRoutes{exact: map[string]*Route{}, patterns: map[string]*Route{}}
		r.routes[s.exchange] = ex
	}
	clear(r.cache)
	if s.exact {
		r.panicOnDuplicate(ex.exact[s.key], route)
		ex.exact[s.key] = route
		return
	}
	r.panicOnDuplicate(ex.patterns[s.key], route)
	ex.patterns[s.key] = route
	ex.tree.add(route.words, route)
}

func (r *Router) newRoute(s routeSpec, h Handler, options []RouteOption) *Route {
	r.registered++
	route := &Route{Exchange: s.exchange, Pattern: s.key, Exact: s.exact, Place: callerPlace(), words: topic.Words(s.key), number: r.registered}
	route.rank = specificity(route.words)
	for _, option := range options {
		option(&route.options)
	}
	if err := route.options.retry.check(); err != nil {
		panic(fmt.Sprintf("parley: route %q %q: %v", s.exchange, s.key, err))
	}
	for _, m := range slices.Backward(r.middleware) {
		h = m(h)
	}
	route.handler = h
	return route
}

func (r *Router) panicOnDuplicate(old, added *Route) {
	if old != nil {
		panic(fmt.Sprintf("parley: duplicate handler for exchange %q, routing key %q: registered at %s and at %s",
			added.Exchange, added.Pattern, old.Place, added.Place))
	}
}

// match returns the route for an address, or nil.
func (r *Router) match(exchange, key string) *Route {
	address := routeAddress{exchange, key}
	r.mu.RLock()
	route, ok := r.cache[address]
	registered := r.registered
	if !ok {
		route = r.find(address)
	}
	r.mu.RUnlock()
	if ok {
		return route
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.cache) >= 4096 {
		clear(r.cache) // keys come from the network
	}
	if r.registered == registered { // otherwise another route may win now
		r.cache[address] = route
	}
	return route
}

func (r *Router) find(a routeAddress) *Route {
	for _, exchange := range [...]string{a.exchange, AnyExchange} {
		ex := r.routes[exchange]
		if ex == nil {
			continue
		}
		if route := ex.exact[a.key]; route != nil {
			return route
		}
		if route := ex.tree.find(topic.Words(a.key)); route != nil {
			return route
		}
	}
	return r.fallback
}

// empty reports whether no route is registered at all.
func (r *Router) empty() bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return len(r.routes) == 0 && r.fallback == nil
}

// callerPlace returns the file and line outside this package that registered a route.
func callerPlace() string {
	var pcs [16]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs[:])])
	for {
		f, more := frames.Next()
		inside := strings.HasPrefix(f.Function, "github.com/parley-go/parley.") && !strings.HasSuffix(f.File, "_test.go")
		if !inside || !more {
			return fmt.Sprintf("%s:%d", f.File, f.Line)
		}
	}
}

// Dispatch runs the handler of d's route, with its middleware, and returns its error. A
// panic becomes a *PanicError, and an error made by Ignore becomes nil. Dispatch settles nothing: it is for tests and for
// consumers of your own. A delivery that matches no route is an error.
func (r *Router) Dispatch(ctx context.Context, d *Delivery) error {
	route := r.match(d.Exchange, d.RoutingKey)
	if route == nil {
		return fmt.Errorf("parley: no handler for exchange %q, routing key %q", d.Exchange, d.RoutingKey)
	}
	err := protect(WithCorrelationID(ctx, d.CorrelationID), route.handler, d)
	if o, ok := errors.AsType[*outcomeError](err); ok && o.ignore {
		return nil
	}
	return err
}
