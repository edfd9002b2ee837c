package rest

import "net/http"

// redirectLimit is how many redirects of one call are followed.
const redirectLimit = 5

// checkRedirect follows GET and HEAD within their origin. Otherwise the answer
// itself is returned, for a ResponseError. net/http would turn a POST into a GET,
// and send the caller's headers, including API keys, wherever a server redirects.
func checkRedirect(r *http.Request, via []*http.Request) error {
	first := via[0]
	if len(via) > redirectLimit || first.Method != http.MethodGet && first.Method != http.MethodHead ||
		origin(r.URL) != origin(first.URL) || r.URL.User != nil {
		return http.ErrUseLastResponse
	}
	r.Header.Del("Referer") // it would reveal the query of the previous page
	return nil
}

// roundTrip does what http.Client.Do does, without a step that a call does not need:
// http.Client.Do copies every header in case of a redirect.
func (c *Client) roundTrip(r *http.Request) (*http.Response, error) {
	resp, err := c.oneTrip(r)
	if err != nil || resp.StatusCode < 300 || resp.StatusCode > 399 || r.Body != nil {
		return resp, err
	}
	via := []*http.Request{r}
	for {
		next := follow(r, resp)
		if next == nil || checkRedirect(next, via) != nil {
			return resp, nil
		}
		discard(resp)
		if resp, err = c.oneTrip(next); err != nil {
			return nil, err
		}
		via = append(via, next)
	}
}

// oneTrip accepts the incomplete answers that http.Client accepts from other http.RoundTrippers.
func (c *Client) oneTrip(r *http.Request) (*http.Response, error) {
	resp, err := c.http.Transport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if resp.Body == nil {
		resp.Body = http.NoBody
	}
	if resp.Request == nil {
		resp.Request = r
	}
	return resp, nil
}

// follow returns the request that resp redirects to, or nil if it does not redirect.
func follow(r *http.Request, resp *http.Response) *http.Request {
	switch resp.StatusCode {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
	default:
		return nil
	}
	u, err := resp.Location()
	if err != nil {
		return nil
	}
	next := r.Clone(r.Context())
	next.URL, next.Host = u, u.Host
	return next
}
