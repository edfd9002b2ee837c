package rest

import (
	"net/url"
	"sync"
)

// hostsLimit limits the number of hosts with state. A client usually calls a few hosts;
// the limit is for clients whose hosts come from data.
const hostsLimit = 1024

// perHost keeps one V for each key.
type perHost[V any] struct {
	create func(key string) V

	// mu guards the fields below.
	mu       sync.Mutex
	values   map[string]V
	spelling map[spelling]V // the same values, to avoid building the origin each time
}

// A spelling is one way to write an origin.
type spelling struct{ scheme, host string }

// ofURL is of(origin(u)).
func (p *perHost[V]) ofURL(u *url.URL) V {
	s := spelling{u.Scheme, u.Host}
	p.mu.Lock()
	v, ok := p.spelling[s]
	p.mu.Unlock()
	if ok {
		return v
	}
	v = p.of(origin(u))
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.spelling == nil || len(p.spelling) >= hostsLimit {
		p.spelling = make(map[spelling]V)
	}
	p.spelling[s] = v
	return v
}

func (p *perHost[V]) of(key string) V {
	p.mu.Lock()
	defer p.mu.Unlock()
	if v, ok := p.values[key]; ok {
		return v
	}
	if len(p.values) >= hostsLimit {
		for old := range p.values { // any one: its state starts anew if the host is used again
			delete(p.values, old)
			break
		}
	}
	if p.values == nil {
		p.values = make(map[string]V)
	}
	v := p.create(key)
	p.values[key] = v
	return v
}
