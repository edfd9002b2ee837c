package rest

import (
	"encoding/json"
	"mime"
	"strings"
)

// A Problem is an error body of content type application/problem+json (RFC 9457).
type Problem struct {
	// Type is a URI that names the kind of problem, "about:blank" if absent.
	Type string
	// Title is its summary, Detail what happened this time, Instance the occurrence.
	Title, Detail, Instance string
	// Status is the status that the server put into the body, 0 if absent.
	Status int
	// Extensions are the other members, as sent.
	Extensions map[string]json.RawMessage
}

func (p *Problem) text() string {
	switch {
	case p.Title != "" && p.Detail != "":
		return p.Title + ": " + p.Detail
	case p.Detail != "":
		return p.Detail
	}
	return p.Title
}

// parseProblem reads a body of that content type; nil if it is none. A member of
// the wrong type counts as absent, as section 3.1 of the RFC asks.
func parseProblem(contentType string, body []byte) *Problem {
	mediaType, _, err := mime.ParseMediaType(contentType)
	if err != nil || !strings.EqualFold(mediaType, "application/problem+json") {
		return nil
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(body, &members) != nil {
		return nil
	}
	p := &Problem{Type: "about:blank"}
	take := func(name string, into any) {
		if raw, ok := members[name]; ok && json.Unmarshal(raw, into) == nil {
			delete(members, name)
		}
	}
	take("type", &p.Type)
	take("title", &p.Title)
	take("detail", &p.Detail)
	take("instance", &p.Instance)
	take("status", &p.Status)
	p.Extensions = members
	return p
}
