package faultproxy

import (
	"bufio"
	"bytes"
	"testing"
)

func FuzzReadFrame(f *testing.F) {
	f.Add([]byte{1, 0, 1, 0, 0, 0, 4, 0, 60, 0, 80, 0xce})
	f.Add([]byte{3, 0, 1, 0, 0, 0, 0, 0xce, 8, 0, 0})
	f.Add([]byte{1, 0, 1, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, data []byte) {
		p := &Proxy{counts: map[Fault]int{}, methods: map[traffic]int{}}
		r := bufio.NewReader(bytes.NewReader(data))
		var frame, all []byte
		var err error
		for {
			if frame, err = readFrame(r, frame); err != nil {
				break
			}
			all = append(all, frame...)
			if swallow, delay, half := p.judge(frame, toClient); swallow || delay > 0 || half {
				t.Error("a fault happened without a rule")
			}
		}
		if !bytes.HasPrefix(data, all) {
			t.Errorf("frames %x were read from %x", all, data)
		}
	})
}
