//go:build linux

package main

import "testing"

func TestTheTableOfAPageIsReplacedBetweenItsLines(t *testing.T) {
	const earlier = "| host | RabbitMQ 3.10.8 | rabbitmq | 1 | 0 | 0 | 2 | 2030-01-01 |\n"
	const newer = "| host | MariaDB 10.11 | mysql | 3 | 0 | 0 | 4 | 2030-02-03 |\n"
	got, err := replaceTable("a\n"+tableBegin+tableHead+earlier+tableEnd+"z\n", []string{newer})
	want := "a\n" + tableBegin + tableHead + earlier + newer + tableEnd + "z\n"
	if err != nil || got != want {
		t.Errorf("got %q (%v), want %q", got, err, want)
	}
	if _, err := replaceTable("a\nz\n", nil); err == nil {
		t.Error("a page without the lines is no error")
	}
}
