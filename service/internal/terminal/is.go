package terminal

import "os"

// Is reports whether a stream is a terminal. A buffer for a terminal has a method Terminal, which returns the terminal.
func Is(stream any) bool {
	if buffer, ok := stream.(interface{ Terminal() any }); ok {
		stream = buffer.Terminal()
	}
	f, ok := stream.(*os.File)
	if !ok {
		return false
	}
	st, err := f.Stat()
	if err != nil || st.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(st, null)
}
