package jsonkeys

// CamelizeKey returns s in camelCase: an underscore before an ASCII lower-case
// letter or digit disappears, and the letter becomes a capital. Everything else
// stays: "user_id" -> "userId", "_x" -> "X", "a_B" -> "a_B".
func CamelizeKey(s string) string {
	for i := range len(s) {
		if s[i] == '_' {
			return string(appendCamel(nil, []byte(s)))
		}
	}
	return s
}

// UnderscoreizeKey returns s in snake_case, in lower case, without leading
// underscores: "userId" -> "user_id", "HTTPServer" -> "http_server",
// "item1" -> "item_1", the last one only if noUnderscoreBeforeNumber is false.
func UnderscoreizeKey(s string, noUnderscoreBeforeNumber bool) string {
	if !changesInSnake(s) {
		return s
	}
	return string(appendSnake(nil, []byte(s), noUnderscoreBeforeNumber))
}

// changesInSnake is false only for keys that the snake_case rule leaves alone.
func changesInSnake(s string) bool {
	if s != "" && s[0] == '_' {
		return true
	}
	for i := range len(s) {
		if class[s[i]]&(isUpper|isDigit|isWide) != 0 {
			return true
		}
	}
	return false
}

// appendCamel replaces what the Python expression [a-z0-9]?_[a-z0-9] finds. Its
// optional first character is copied in any case, so it needs no look here.
func appendCamel(dst, s []byte) []byte {
	for i := 0; i < len(s); i++ {
		if s[i] != '_' || i+1 == len(s) || class[s[i+1]]&(isLower|isDigit) == 0 {
			dst = append(dst, s[i])
			continue
		}
		i++
		c := s[i]
		if class[c]&isLower != 0 {
			c -= 'a' - 'A'
		}
		dst = append(dst, c)
	}
	return dst
}

// appendSnake writes "\1_\2" for each match of the Python expression
//
//	([a-z0-9]|[A-Z]?(?=[A-Z0-9](?=[a-z0-9]|(?<![A-Z])$)))
//	([A-Z]|(?<=[a-z])[0-9](?=[0-9A-Z]|$)|(?<=[A-Z])[0-9](?=[0-9]|$))
//
// then lowers the whole and strips leading underscores. With noNumber the
// expression is ([a-z0-9]|[A-Z]?(?=[A-Z](?=[a-z])))([A-Z]).
func appendSnake(dst, s []byte, noNumber bool) []byte {
	start := len(dst)
	k := snakeKey{s: s, noNumber: noNumber}
	wide := false
	for i := 0; i < len(s); {
		if !k.is(i, isUpper|isDigit) && !k.is(i+1, isUpper|isDigit) { // most characters
			wide = wide || s[i] >= 0x80
			dst = append(dst, s[i])
			i++
			continue
		}
		first, found := k.match(i)
		if !found {
			wide = wide || s[i] >= 0x80
			dst = append(dst, lowerASCII(s[i]))
			i++
			continue
		}
		if first == 1 {
			dst = append(dst, lowerASCII(s[i]))
		}
		if len(dst) > start { // no leading underscore
			dst = append(dst, '_')
		}
		dst = append(dst, lowerASCII(s[i+first]))
		i += first + 1
	}
	n := start
	for n < len(dst) && dst[n] == '_' {
		n++
	}
	dst = append(dst[:start], dst[n:]...)
	if wide {
		dst = lowerWide(dst, start)
	}
	return dst
}

// A snakeKey is a key under the snake_case expression. Bytes of multi-byte
// characters are in none of its classes, so it can look at bytes.
type snakeKey struct {
	s        []byte
	noNumber bool
}

// match reports whether the expression matches at i, and how many characters
// (0 or 1) its first group takes. The second group always takes one.
func (k snakeKey) match(i int) (first int, found bool) {
	switch {
	case k.is(i, isLower|isDigit) && k.second(i+1),
		k.is(i, isUpper) && k.ahead(i+1) && k.second(i+1):
		return 1, true
	}
	return 0, k.ahead(i) && k.second(i)
}

// ahead is the look-ahead of the first group.
func (k snakeKey) ahead(i int) bool {
	if k.noNumber {
		return k.is(i, isUpper) && k.is(i+1, isLower)
	}
	if !k.is(i, isUpper|isDigit) {
		return false
	}
	return k.is(i+1, isLower|isDigit) || (!k.is(i, isUpper) && k.atEnd(i+1))
}

// second reports whether the second group matches at i.
func (k snakeKey) second(i int) bool {
	if k.is(i, isUpper) {
		return true
	}
	if k.noNumber || !k.is(i, isDigit) {
		return false
	}
	if k.is(i-1, isLower) {
		return k.is(i+1, isDigit|isUpper) || k.atEnd(i+1)
	}
	return k.is(i-1, isUpper) && (k.is(i+1, isDigit) || k.atEnd(i+1))
}

// atEnd is "$", which in Python also matches before a final line feed.
func (k snakeKey) atEnd(i int) bool {
	return i == len(k.s) || (i == len(k.s)-1 && k.s[i] == '\n')
}

func (k snakeKey) is(i int, c byte) bool {
	return i >= 0 && i < len(k.s) && class[k.s[i]]&c != 0
}

func lowerASCII(c byte) byte {
	if class[c]&isUpper != 0 {
		return c + 'a' - 'A'
	}
	return c
}
