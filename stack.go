package parley

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
)

// stackLimit bounds the stack in a log line, in bytes.
const stackLimit = 4 << 10

// frames returns the first line of a printed stack and its frames. A frame is a line with the function and one with its place.
func frames(stack string) (header string, out []string) {
	header, rest, _ := strings.Cut(stack, "\n")
	lines := slices.DeleteFunc(strings.Split(strings.TrimRight(rest, "\n"), "\n"), func(line string) bool {
		return strings.HasPrefix(line, "...") // frames that the runtime has left out
	})
	for i := 0; i+1 < len(lines); i += 2 {
		out = append(out, lines[i]+"\n"+lines[i+1])
	}
	return header, out
}

// panicStack returns the part of a stack of debug.Stack that is of use in a log: from the frame that panicked to the handler.
func panicStack(stack []byte) string {
	_, all := frames(string(stack))
	for i, f := range all {
		if strings.HasPrefix(f, "panic(") {
			all = all[i+1:]
			break
		}
	}
	for len(all) > 1 && strings.HasPrefix(all[0], "runtime.") { // of a nil pointer or an index
		all = all[1:]
	}
	return shorten(strings.Join(aboveLibrary(all), "\n"), stackLimit)
}

// aboveLibrary returns the frames above the function that calls handlers.
func aboveLibrary(all []string) []string {
	for i, f := range all {
		if i > 0 && strings.HasPrefix(f, "github.com/parley-go/parley.protect(") {
			return all[:i]
		}
	}
	return all
}

// handlerStack returns the stack of the goroutine that runs the attempt of j, or if it cannot be told apart, those of all goroutines that run handlers.
func handlerStack(j *job) string {
	buf := make([]byte, 1<<20)
	buf = buf[:runtime.Stack(buf, true)]
	return findAttempt(string(buf), fmt.Sprintf("%p", j))
}

// findAttempt returns from the stacks of all goroutines that of the attempt with a job at an address.
func findAttempt(stacks, address string) string {
	var attempts []string
	for g := range strings.SplitSeq(stacks, "\n\n") {
		_, call, found := strings.Cut(g, "parley.(*session).attempt(")
		if !found {
			continue
		}
		header, all := frames(g)
		text := header + "\n" + strings.Join(aboveLibrary(all), "\n")
		if arguments, _, _ := strings.Cut(call, ")"); strings.Contains(arguments, address) {
			return shorten(text, stackLimit)
		}
		attempts = append(attempts, text)
	}
	return shorten(strings.Join(attempts, "\n\n"), stackLimit)
}
