package settings

import "testing"

func FuzzListsFromTheEnvironmentNeverPanic(f *testing.F) {
	f.Add("a,b:fanout", "a:#,b")
	f.Add(`[{"name": "a"}]`, `[["a", "b"]]`)
	f.Fuzz(func(t *testing.T, exchanges, binds string) {
		s, err := Load(&LoadOptions{Environ: []string{"PARLEY_QUEUE=q", "PARLEY_EXCHANGES=" + exchanges, "PARLEY_BINDS=" + binds}})
		if err == nil {
			for _, e := range s.Exchanges {
				if e.Name == "" {
					t.Error("an exchange has no name")
				}
			}
		}
	})
}
