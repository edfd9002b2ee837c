package parley

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
)

// variable matches the parts that differ between failures of one cause: quoted values, ids, numbers.
var variable = regexp.MustCompile(`"[^"]*"|'[^']*'|` + "`[^`]*`" + `|\b[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b|\b0x[0-9a-fA-F]+\b|\b[0-9a-fA-F]{16,}\b|[0-9]+`)

// fingerprint groups failures by route and error, ignoring quoted values, ids and numbers. It returns 32 hexadecimal digits, or ""
// without an error.
func fingerprint(d *Delivery, err error) string {
	if err == nil {
		return ""
	}
	text := variable.ReplaceAllString(shorten(err.Error(), 500), "*")
	sum := sha256.Sum256([]byte(d.Exchange + "\x00" + d.RoutingKey + "\x00" + text))
	return hex.EncodeToString(sum[:16])
}
