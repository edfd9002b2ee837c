package rest

import "strings"

// nextLink returns the target with rel="next" in Link headers (RFC 8288 section 3), or "" without one.
func nextLink(values []string) string {
	for _, v := range values {
		for v != "" {
			var target, params string
			if target, params, v = cutLink(v); target != "" && isNext(params) {
				return target
			}
		}
	}
	return ""
}

// cutLink splits the first link from a list: <target>; params, rest.
func cutLink(s string) (target, params, rest string) {
	_, s, ok := strings.Cut(s, "<")
	if !ok {
		return "", "", ""
	}
	target, s, ok = strings.Cut(s, ">")
	if !ok {
		return "", "", ""
	}
	end := outsideQuotes(s, ',')
	if end == len(s) {
		return target, s, ""
	}
	return target, s[:end], s[end+1:]
}

// isNext reports whether the params have a rel that includes next. Only the first rel counts.
func isNext(params string) bool {
	for params != "" {
		end := outsideQuotes(params, ';')
		name, value, _ := strings.Cut(params[:end], "=")
		if strings.EqualFold(strings.TrimSpace(name), "rel") {
			for rel := range strings.FieldsSeq(strings.Trim(strings.TrimSpace(value), `"`)) {
				if strings.EqualFold(rel, "next") {
					return true
				}
			}
			return false
		}
		params = params[min(end+1, len(params)):]
	}
	return false
}

// outsideQuotes returns the index of the first c in s outside quoted strings, or the length of s.
func outsideQuotes(s string, c byte) int {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch {
		case quoted && s[i] == '\\':
			i++
		case s[i] == '"':
			quoted = !quoted
		case !quoted && s[i] == c:
			return i
		}
	}
	return len(s)
}
