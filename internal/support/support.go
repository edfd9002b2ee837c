// Package support knows until when the makers of servers fix their releases without a contract. The command doctor
// uses it through the drivers.
package support

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A product is a server and the dates that were published for it.
type product struct {
	// known is when the dates were read. Later releases are not in the table.
	known time.Time
	// parts is how many numbers of a version name its series: one for PostgreSQL 18, two for RabbitMQ 4.2.
	parts int
	// ends has the end of community support of each series; zero if no date was published by then.
	ends map[string]time.Time
}

// products is the table, by the name that doctor prints. Sources, which have to be read again to extend it:
// https://www.postgresql.org/support/versioning/, https://mariadb.org/about/#maintenance-policy,
// https://www.mysql.com/support/eol-notice.html, https://www.rabbitmq.com/release-information and https://endoflife.date/rabbitmq.
var products = map[string]product{
	"PostgreSQL": {day(2026, 3, 31), 1, map[string]time.Time{
		"13": day(2025, 11, 13), "14": day(2026, 11, 12), "15": day(2027, 11, 11), "16": day(2028, 11, 9), "17": day(2029, 11, 8), "18": day(2030, 11, 14),
	}},
	"MariaDB": {day(2026, 3, 31), 2, map[string]time.Time{
		"10.5": day(2025, 6, 24), "10.6": day(2026, 7, 6), "10.11": day(2028, 2, 16), "11.4": day(2029, 5, 29), "11.8": day(2028, 6, 4),
	}},
	"MySQL": {day(2026, 3, 31), 2, map[string]time.Time{
		"5.7": day(2023, 10, 31), "8.0": day(2026, 4, 30), "8.4": day(2032, 4, 30),
	}},
	// RabbitMQ fixes its latest series only.
	"RabbitMQ": {day(2026, 3, 31), 2, map[string]time.Time{
		"3.9": day(2023, 1, 31), "3.10": day(2023, 7, 31), "3.11": day(2023, 12, 31), "3.12": day(2024, 2, 21), "3.13": day(2024, 9, 17),
		"4.0": day(2025, 4, 15), "4.1": day(2026, 1, 30), "4.2": {},
	}},
}

func day(year int, month time.Month, day int) time.Time {
	return time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
}

// Look looks a version up. outdated is a text if its series gets no more fixes at the time now. Otherwise note is empty, or says
// that the table does not know the series.
func Look(name, version string, now time.Time) (outdated, note string) {
	p, ok := products[name]
	numbers, parsed := parse(version, p.parts)
	if !ok || !parsed {
		return "", "cannot determine until when it is supported"
	}
	series := strings.Join(numbers, ".")
	end, ok := p.ends[series]
	switch {
	case ok && !end.IsZero() && now.After(end):
		return fmt.Sprintf("%s %s receives no more fixes: its community support ended on %s", name, series, end.Format(time.DateOnly)), ""
	case ok:
		return "", ""
	case p.olderThanAll(numbers):
		return fmt.Sprintf("%s %s receives no more fixes", name, series), ""
	}
	return "", fmt.Sprintf("cannot determine until when %s %s is supported: parley's table is of %s", name, series, p.known.Format(time.DateOnly))
}

// parse returns the first n numbers of a version such as "11.8.2-MariaDB-1" or "18.1 (Debian 18.1-1)".
func parse(version string, n int) (numbers []string, ok bool) {
	for part := range strings.SplitSeq(version, ".") {
		end := strings.IndexFunc(part, func(r rune) bool { return r < '0' || r > '9' })
		digits := part
		if end >= 0 {
			digits = part[:end]
		}
		if digits == "" {
			return nil, false
		}
		if numbers = append(numbers, digits); len(numbers) == n {
			return numbers, true
		}
		if end >= 0 {
			return nil, false
		}
	}
	return nil, false
}

func (p product) olderThanAll(numbers []string) bool {
	for series := range p.ends {
		if !less(numbers, strings.Split(series, ".")) {
			return false
		}
	}
	return true
}

func less(a, b []string) bool {
	for i := range a {
		x, _ := strconv.Atoi(a[i]) // digits
		y, _ := strconv.Atoi(b[i])
		if x != y {
			return x < y
		}
	}
	return false
}
