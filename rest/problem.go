package rest

import (
	"encoding/json"
	"mime"
	"strings"
)

// A Problem is an error body of content type application/problem+json (RFC 9457).
type Problem struct {
	// Type is a URI of the kind of problem, or "about:blank" if absent.
	Type string
	// Title is a summary of the kind, Detail explains this occurrence, Instance identifies it.
	Title, Detail, Instance string
	// Status is the status in the body, or 0 if absent.
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

// parseProblem parses a body of that content type; it returns nil for others. A member of
// the wrong type counts as absent, as section 3.1 of the RFC requires.
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
