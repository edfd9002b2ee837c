// Command figures counts what docs/architecture.md says about the shape of the code:
//
//	go run ./internal/tools/figures [-way name,…] [-untested] [folder of a checkout]
//
// It prints one line per figure, with -untested also the files without a test file beside them. The way of a delivery is a list of functions, in the order in which a delivery that is handled and
// acked passes them. Each change to another file starts a stay. A stay in a file that was left before is a climb back. Each
// function must be mentioned by an earlier one in the list; "+" marks a function that is called through a variable.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// wayIn is the way of a delivery today.
const wayIn = "+session.feed,Consumer.newJob,restore,Consumer.address,Router.match,Consumer.guard,session.arrive,session.admit,scheduler.dispatch," +
	"+scheduler.take,+scheduler.run,+session.step,session.precheck,session.attempt,protect,session.judge,decide,session.apply,Consumer.settle,Consumer.report"

func main() {
	names := flag.String("way", wayIn, "functions that a delivery passes, as name or Type.name")
	list := flag.Bool("untested", false, "list the files without a test file beside them")
	flag.Parse()
	root := "."
	if flag.NArg() > 0 {
		root = flag.Arg(0)
	}
	if err := run(os.Stdout, root, strings.Split(*names, ","), *list); err != nil {
		fmt.Fprintln(os.Stderr, "figures:", err)
		os.Exit(1)
	}
}

func run(out io.Writer, root string, names []string, list bool) error {
	root, err := filepath.Abs(root)
	if err != nil {
		return err
	}
	p, err := load(root)
	if err != nil {
		return err
	}
	way, err := p.way(names)
	if err != nil {
		return err
	}
	tree, err := survey(root)
	if err != nil {
		return err
	}
	linked, err := linkedPackages(root)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, `files that a delivery passes: %d
stays in them: %d
climbs back to a file that was left: %d
exported names of the root package: %d
packages outside the standard library in a program on core, postgres and rabbitmq: %d
longest function: %d lines (%s)
files with a function body and no test file beside them, outside of test suites: %d
`, way.files, way.stays, way.climbs, p.exported(), linked, tree.longest, tree.longestName, len(tree.untested))
	if list {
		for _, name := range tree.untested {
			_, err = fmt.Fprintln(out, name)
		}
	}
	return err
}
