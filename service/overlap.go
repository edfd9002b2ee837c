package service

import "strings"

// overlap reports whether a routing key exists that both topic patterns match (AMQP 0-9-1, 3.1.3.3: * is one word, # any number of
// words).
func overlap(a, b string) bool {
	x, y := strings.Split(a, "."), strings.Split(b, ".")
	// meets[j] reports whether x[i:] and y[j:] match a common key.
	meets := make([]bool, len(y)+1)
	for i := len(x); i >= 0; i-- {
		row := make([]bool, len(y)+1)
		for j := len(y); j >= 0; j-- {
			switch {
			case i == len(x) && j == len(y):
				row[j] = true
			case i < len(x) && x[i] == "#":
				row[j] = meets[j] || j < len(y) && row[j+1]
			case j < len(y) && y[j] == "#":
				row[j] = row[j+1] || i < len(x) && meets[j]
			case i < len(x) && j < len(y):
				row[j] = (x[i] == "*" || y[j] == "*" || x[i] == y[j]) && meets[j+1]
			}
		}
		meets = row
	}
	return meets[0]
}
