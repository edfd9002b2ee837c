package rest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/parley-go/parley/internal/jsonkeys"
)

// A Pagination describes where a page has its items, and how to find the next page. The
// zero value is a single page that is a JSON array.
type Pagination struct {
	// Items is the member that holds the items; dots lead into objects, as in
	// "data.items". Case and underscores are ignored. Default: the body is the array.
	Items string
	// Next returns the next page after a page with n items, or "" if there is none. It is a URL or
	// a path, also relative to the page, such as "?page=3". Default: no next page.
	Next func(page *Response, n int) (string, error)
}

// DjangoPages is the pagination of Django REST framework: the items in "results",
// the URL of the next page in "next".
func DjangoPages() Pagination { return Pagination{Items: "results", Next: NextField("next")} }

// LinkPages is pagination by the header Link (RFC 8288); the body is the array.
func LinkPages() Pagination { return Pagination{Next: NextLink} }

// NumberedPages increments the query parameter param, from 1 if the first call does
// not have it, until a page has no items. Items are in the member items; "" means that
// the body is the array.
func NumberedPages(param, items string) Pagination {
	return Pagination{Items: items, Next: func(page *Response, n int) (string, error) {
		if n == 0 {
			return "", nil
		}
		query := page.url.Query()
		number, err := strconv.Atoi(or(query.Get(param), "1"))
		if err != nil {
			return "", fmt.Errorf("parameter %q is not a number", param)
		}
		query.Set(param, strconv.Itoa(number+1))
		return "?" + query.Encode(), nil
	}}
}

// NextField reads the next page from a member of the body; null or absent means none.
func NextField(name string) func(*Response, int) (string, error) {
	return func(page *Response, _ int) (string, error) {
		raw, err := page.member(name)
		if err != nil || raw == nil || string(raw) == "null" {
			return "", err
		}
		var next string
		if err := json.Unmarshal(raw, &next); err != nil {
			return "", fmt.Errorf("next page at %q is not a string", name)
		}
		return next, nil
	}
}

// NextLink reads the next page from the header Link with rel="next".
func NextLink(page *Response, _ int) (string, error) {
	return nextLink(page.Header.Values("Link")), nil
}

// Items yields every item of a paginated list. It fetches a page when the
// previous one is used up. Each page is a call with a deadline of its own. After an
// error, yielded with the zero T, the iteration ends.
//
//	for subject, err := range rest.Items[Subject](ctx, api, "api/v1/subjects", rest.DjangoPages()) {
//
// Params are sent with the first page only: the links of the server contain them. A
// link to another origin is an error, because otherwise a page could redirect the client anywhere.
func Items[T any](ctx context.Context, c *Client, path string, p Pagination, opts ...Option) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var zero T
		for page, err := range c.pages(ctx, path, p.next, opts) {
			if err != nil {
				yield(zero, err)
				return
			}
			items, err := itemsOf[T](page, p.Items)
			if err != nil {
				yield(zero, page.undecodable(err))
				return
			}
			page.items = len(items)
			for _, item := range items {
				if !yield(item, nil) {
					return
				}
			}
		}
	}
}

// Pages yields each page as a T. next returns the link to the following page,
// or "" for none. Everything else is as for Items.
func Pages[T any](ctx context.Context, c *Client, path string, next func(page T) string, opts ...Option) iter.Seq2[T, error] {
	format := c.newCall(opts).response
	return func(yield func(T, error) bool) {
		var last T
		step := func(*Response) (string, error) { return next(last), nil }
		for page, err := range c.pages(ctx, path, step, opts) {
			var zero, v T
			if err == nil {
				if err = format(page, &v); err != nil {
					err = page.undecodable(err)
				}
			}
			if err != nil {
				yield(zero, err)
				return
			}
			if last = v; !yield(v, nil) {
				return
			}
		}
	}
}

func (p Pagination) next(page *Response) (string, error) {
	if p.Next == nil {
		return "", nil
	}
	return p.Next(page, page.items)
}

// pages yields the answers; next is called after each answer has been processed.
func (c *Client) pages(ctx context.Context, path string, next func(*Response) (string, error), opts []Option) iter.Seq2[*Response, error] {
	return func(yield func(*Response, error) bool) {
		cl := c.newCall(opts)
		for {
			page, err := c.exchange(ctx, http.MethodGet, path, cl)
			if !yield(page, err) || err != nil {
				return
			}
			link, err := next(page)
			if err != nil {
				yield(nil, page.undecodable(err))
				return
			}
			if link == "" {
				return
			}
			u, err := page.follow(link)
			if err != nil {
				yield(nil, page.undecodable(fmt.Errorf("next page: %w", err)))
				return
			}
			// The link is absolute: it contains the host and the parameters.
			cl.host, path, cl.params = u.Scheme+"://"+u.Host, pathAndQuery(u), nil
		}
	}
}

// follow resolves a link on the page, within the page's origin.
func (r *Response) follow(link string) (*url.URL, error) {
	to, err := url.Parse(link)
	if err != nil {
		return nil, bareURLError(err)
	}
	u := r.url.ResolveReference(to)
	if origin(u) != origin(r.url) || u.User != nil {
		return nil, invalid("link leads to another origin, %s", redactHost(origin(u)))
	}
	if pathAndQuery(u) == pathAndQuery(r.url) {
		return nil, errors.New("link leads to its own page")
	}
	return u, nil
}

func pathAndQuery(u *url.URL) string {
	if u.RawQuery == "" {
		return u.EscapedPath()
	}
	return u.EscapedPath() + "?" + u.RawQuery
}

func itemsOf[T any](page *Response, member string) ([]T, error) {
	doc, err := page.document()
	if err != nil {
		return nil, err
	}
	if member != "" {
		raw, err := page.member(member)
		if err != nil {
			return nil, err
		}
		if raw == nil {
			return nil, fmt.Errorf("page has no member %q", member)
		}
		doc = raw
	}
	var items []T
	err = decodeJSON(doc, &items, page.limits())
	return items, err
}

// member follows a dotted path of keys in any case; it returns nil if there is no such member.
func (r *Response) member(path string) (json.RawMessage, error) {
	text, err := r.document()
	if err != nil {
		return nil, err
	}
	doc := json.RawMessage(text)
	for part := range strings.SplitSeq(path, ".") {
		var found json.RawMessage
		err := jsonkeys.Members(doc, r.limits(), func(key string, value []byte) error {
			if key == part || jsonkeys.UnderscoreizeKey(key, false) == jsonkeys.UnderscoreizeKey(part, false) {
				found = value
			}
			return nil
		})
		if err != nil || found == nil {
			return nil, err
		}
		doc = found
	}
	return doc, nil
}
